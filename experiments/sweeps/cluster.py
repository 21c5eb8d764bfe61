"""Connect to a running Dask cluster, check that it can run a sweep, and disconnect."""

from __future__ import annotations

import contextlib
import gc
import logging
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError, Executor
from pathlib import Path

from experiments.pool import StoppedError
from experiments.rundir import RunError

WAIT_S = 30.0
"""Longest wait for a scheduler to answer, and then for its first worker."""
LEAST_WINDOW = 1_000
"""Least number of runs handed over at a time: workers may join later, waiting runs are small."""

Place = tuple[Executor | None, int, Callable[[], bool] | None]
"""An executor, how many runs to hand over at a time, and whether the executor is still alive."""
NOISY = (
    "distributed.batched",
    "distributed.client",
    "distributed.core",
    "distributed.utils",
    "tornado.application",
)
"""Loggers that report a lost connection, which is an error of one line here."""


@contextlib.contextmanager
def cluster(address: str, folder: Path) -> Iterator[Place]:
    """Connect to the cluster for the time of a sweep.

    Raises `RunError` unless a scheduler answers whose workers have one thread each and see
    `folder`, and `StoppedError` when it is lost meanwhile.
    """
    try:
        from distributed import Client
    except ImportError:
        raise RunError(
            f"--dask {address}: needs dask.distributed; pip install 'fedstake[dask]'"
        ) from None
    for name in NOISY:
        logging.getLogger(name).setLevel(logging.CRITICAL)
    # A client that could not connect lives on in a cycle. Collected while the next one starts, its
    # end would wait for ever for a lock that this start holds.
    gc.collect()
    try:
        client = Client(address, timeout=WAIT_S, set_as_default=False)
    except (OSError, ValueError, TimeoutError) as error:
        raise RunError(
            f"--dask {address}: no scheduler answers there ({type(error).__name__})"
        ) from None
    try:
        workers = _count_workers(client, address)
        _check_folder(client, address, folder)
        window = max(LEAST_WINDOW, 2 * workers)
        # Futures in flight never end when the scheduler dies: the status must be asked for.
        yield client.get_executor(pure=False), window, lambda: client.status == "running"
    finally:
        with contextlib.suppress(Exception):  # the cluster may be gone
            client.close(timeout=5)


def _count_workers(client: object, address: str) -> int:
    """Return the number of workers; raise `RunError` unless each has one thread.

    With more threads, runs would share a process, its counters and its one torch thread.
    """
    try:
        client.wait_for_workers(1, timeout=WAIT_S)  # type: ignore[attr-defined]
        found: dict[str, int] = client.nthreads()  # type: ignore[attr-defined]
    except TimeoutError:
        raise RunError(
            f"--dask {address}: the scheduler has no workers; "
            f"start some: dask worker {address} --nthreads 1"
        ) from None
    except Exception as error:
        raise StoppedError(
            f"--dask {address}: the scheduler went away ({type(error).__name__})"
        ) from None
    for worker, threads in found.items():
        if threads != 1:
            raise RunError(
                f"--dask {address}: worker {worker} has {threads} threads; "
                "start workers with --nthreads 1"
            )
    return len(found)


def _check_folder(client: object, address: str, folder: Path) -> None:
    """Raise `RunError` unless every worker has this package and sees the folder."""
    try:
        seen: dict[str, bool] = client.run(_is_folder, folder)  # type: ignore[attr-defined]
    except (OSError, TimeoutError, CancelledError) as error:
        raise StoppedError(
            f"--dask {address}: the cluster went away ({type(error).__name__})"
        ) from None
    except Exception as error:  # how Dask reports that a worker cannot unpickle the function
        raise RunError(
            f"--dask {address}: workers need the same fedstake as this machine ({error})"
        ) from None
    for worker, there in seen.items():
        if not there:
            raise RunError(
                f"--dask {address}: worker {worker} does not see {folder}; "
                "it must be on a shared file system"
            )


def _is_folder(folder: Path) -> bool:
    return folder.is_dir()
