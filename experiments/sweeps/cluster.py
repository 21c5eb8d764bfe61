"""A Dask cluster that somebody else has started: connect, see that it can do the work, leave without a fuss."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError, Executor
from pathlib import Path

from experiments.pool import StoppedError
from experiments.rundir import RunError

WAIT_S = 30.0
"""How long a scheduler may take to answer, and then to have a worker."""
LEAST_WINDOW = 1_000
"""Runs handed over at a time at least: workers may join later, and a waiting run is a few kilobytes."""

Place = tuple[Executor | None, int, Callable[[], bool] | None]


@contextlib.contextmanager
def cluster(address: str, folder: Path) -> Iterator[Place]:
    """An executor on the cluster, how many runs to hand over at a time, and whether its scheduler is still there.

    `RunError` unless a scheduler answers whose workers have one thread each and see `folder`.
    """
    try:
        from distributed import Client
    except ImportError:
        raise RunError(
            f"--dask {address}: needs dask.distributed; pip install 'fedstake[dask]'"
        ) from None
    for noisy in (
        "distributed.batched",
        "distributed.client",
        "distributed.core",
        "distributed.utils",
        "tornado.application",
    ):
        # A lost connection is told in one line, by us.
        logging.getLogger(noisy).setLevel(logging.CRITICAL)
    try:
        client = Client(address, timeout=WAIT_S, set_as_default=False)
    except (OSError, ValueError, TimeoutError) as error:
        raise RunError(
            f"--dask {address}: no scheduler answers there ({type(error).__name__})"
        ) from None
    try:
        threads = _workers(client, address)
        _check_folder(client, address, folder)
        # Futures that were handed over as the scheduler died never end: whoever waits for them has to ask.
        yield (
            client.get_executor(pure=False),
            max(LEAST_WINDOW, 2 * threads),
            lambda: client.status == "running",
        )
    finally:
        with contextlib.suppress(Exception):  # gone is gone
            client.close(timeout=5)


def _workers(client: object, address: str) -> int:
    """How many there are; each must have one thread, or runs would share a process, its counters and its one torch thread."""
    try:
        client.wait_for_workers(1, timeout=WAIT_S)  # type: ignore[attr-defined]
        found: dict[str, int] = client.nthreads()  # type: ignore[attr-defined]
    except TimeoutError:
        raise RunError(
            f"--dask {address}: the scheduler has no workers; start some: dask worker {address} --nthreads 1"
        ) from None
    except Exception as error:
        raise StoppedError(
            f"--dask {address}: the scheduler went away ({type(error).__name__})"
        ) from None
    for worker, threads in found.items():
        if threads != 1:
            raise RunError(
                f"--dask {address}: worker {worker} has {threads} threads; start workers with --nthreads 1"
            )
    return len(found)


def _check_folder(client: object, address: str, folder: Path) -> None:
    """Every worker has this package and the folder, better known now than when the first run is written nowhere."""
    try:
        seen: dict[str, bool] = client.run(_is_folder, folder)  # type: ignore[attr-defined]
    except (OSError, TimeoutError, CancelledError) as error:
        raise StoppedError(
            f"--dask {address}: the cluster went away ({type(error).__name__})"
        ) from None
    except Exception as error:  # how Dask tells that a worker could not even read what it was sent
        raise RunError(
            f"--dask {address}: workers need the same fedstake as this machine ({error})"
        ) from None
    for worker, there in seen.items():
        if not there:
            raise RunError(
                f"--dask {address}: worker {worker} does not see {folder}; it must be on a shared file system"
            )


def _is_folder(folder: Path) -> bool:
    return folder.is_dir()
