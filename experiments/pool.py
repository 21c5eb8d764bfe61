"""Run many tasks on an executor, with a bounded window of them in flight.

Processes that die are replaced, and a task that kills its process every time fails alone.
"""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import (
    FIRST_COMPLETED,
    BrokenExecutor,
    CancelledError,
    Executor,
    Future,
    wait,
)
from functools import partial
from typing import Any

import psutil

from fedstake.errors import FedstakeError

Task = tuple[Any, ...]
"""Arguments of the work."""
Work = Callable[..., Any]
Keep = Callable[[Any], None]
Failed = Callable[[Task, Exception], None]
Alive = Callable[[], bool]

ATTEMPTS = 3
"""Starts of a task whose process dies: twice beside others, which may be at fault, then alone."""


GRACE_S = 5.0
"""Time that a process has to keep what it did before it is ended."""


class StoppedError(FedstakeError, RuntimeError):
    """The executor or cluster that runs the tasks is lost; finished tasks stay finished."""


def on_executor(
    executor: Executor,
    work: Work,
    tasks: Iterable[Task],
    window: int,
    keep: Keep,
    failed: Failed,
    alive: Alive | None = None,
) -> None:
    """Run tasks on an executor that the caller owns; raise `StoppedError` when it breaks.

    `alive` is called when no task has ended for a second, for executors that never report a loss.
    """
    for _, error in _feed(executor, work, deque(tasks), window, keep, failed, alive):
        reason = type(error).__name__
        message = " ".join(str(error).split())
        if message:
            reason += f": {message}"
        raise StoppedError(f"the executor went away ({reason})")


def in_processes(
    work: Work, tasks: Iterable[Task], workers: int, keep: Keep, failed: Failed
) -> None:
    """Run tasks in processes of this machine.

    A process that dies (killed, out of memory) breaks its pool. Tasks that were in flight are tried
    again in a new pool; a task that has lost its pool twice runs alone, so that a task that kills
    its process fails by itself and the others go on.

    Every task begins in the current folder of this process, from which relative names are read.
    """
    work = partial(_in_folder, os.getcwd(), work)
    waiting, alone = deque(tasks), deque[Task]()
    deaths: Counter[int] = Counter()
    try:
        while waiting or alone:
            if alone or workers == 1:
                suspects = waiting if workers == 1 else deque([alone.popleft()])
                for task, error in _feed(_local(workers), work, suspects, 1, keep, failed):
                    _check_machine(workers)  # if that works, the task itself is at fault
                    failed(task, error)
                continue
            for task, _ in _feed(_local(workers), work, waiting, 2 * workers, keep, failed):
                deaths[id(task)] += 1
                if deaths[id(task)] == ATTEMPTS - 1:
                    alone.append(task)
                else:
                    waiting.append(task)
    except BaseException:  # Ctrl-C above all: do not wait for results that would be thrown away
        _end(_local(workers))
        raise


def _feed(
    pool: Executor,
    work: Work,
    waiting: deque[Task],
    window: int,
    keep: Keep,
    failed: Failed,
    alive: Alive | None = None,
) -> Iterator[tuple[Task, Exception]]:
    """Feed a pool until no task waits or the pool breaks.

    Yields the tasks that were in flight when it broke, with the error; the rest stays in `waiting`.
    """
    running: dict[Future[Any], Task] = {}
    broken = False
    while running or (waiting and not broken):
        # Fill the window.
        while waiting and len(running) < window and not broken:
            task = waiting.popleft()
            try:
                running[pool.submit(work, *task)] = task
            except RuntimeError as error:  # broken, or shut down
                broken = True
                yield task, error
        # Collect what has ended.
        done = wait(running, timeout=1.0, return_when=FIRST_COMPLETED).done
        if not done and alive is not None and not alive():
            yield running.popitem()[1], BrokenExecutor("connection lost")
        for future in done:
            task = running.pop(future)
            try:
                outcome = future.result()
            except (BrokenExecutor, CancelledError) as error:
                broken = True
                yield task, error
            except Exception as error:  # the work never raises: the executor gave this task up
                failed(task, error)
            else:
                keep(outcome)


def _in_folder(folder: str, work: Work, *task: Any) -> Any:
    """Work in a folder, and leave it: a process is used again, and a folder may go meanwhile.

    Torch that is imported in a folder that is gone ends its process at the first product.
    """
    os.chdir(folder)
    try:
        return work(*task)
    finally:
        os.chdir(os.sep)


def _end(pool: Any) -> None:
    """End the workers of a pool; a run that is being played keeps a checkpoint before."""
    processes = []
    for pid in list(pool._processes or ()):
        with contextlib.suppress(psutil.NoSuchProcess):
            processes.append(psutil.Process(pid))
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.terminate()
    psutil.wait_procs(processes, timeout=GRACE_S)
    pool.shutdown(wait=True, kill_workers=True)


def _check_machine(workers: int) -> None:
    """Raise `StoppedError` unless this machine can run a trivial task."""
    try:
        _local(workers).submit(os.getpid).result()
    except BrokenExecutor as error:
        name = type(error).__name__
        raise StoppedError(f"worker processes die whatever they run ({name})") from error


def _local(workers: int) -> Any:
    """Return the executor of this machine, a new one when the last one broke."""
    from joblib.externals.loky import get_reusable_executor

    return get_reusable_executor(max_workers=workers, initializer=_begin, initargs=(os.getpid(),))


def _begin(parent: int) -> None:
    """Prepare a worker: Ctrl-C is for its parent alone, which ends the workers itself.

    Between tasks it is nowhere: see `_in_folder`.
    """
    os.chdir(os.sep)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    die_with(parent)


def die_with(parent: int) -> None:
    """End this process when its parent is gone; else it would wait for ever and keep its memory.

    A run that is being played keeps a checkpoint before.
    """

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(0.5)
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(GRACE_S)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
