"""Many tasks on an executor: a bounded window of them in flight, and what is done about processes that die."""

from __future__ import annotations

import os
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
from typing import Any

Task = tuple[Any, ...]
"""Arguments of the work."""
Work = Callable[..., Any]
Keep = Callable[[Any], None]
Failed = Callable[[Task, Exception], None]
Alive = Callable[[], bool]

ATTEMPTS = 3
"""How often a task is begun whose process dies: twice beside others, which may be to blame, and once alone."""


class StoppedError(RuntimeError):
    """What was to run the work is gone or never came up; what is done stays done. One line."""


def on_executor(
    executor: Executor,
    work: Work,
    tasks: Iterable[Task],
    window: int,
    keep: Keep,
    failed: Failed,
    alive: Alive | None = None,
) -> None:
    """Run tasks on an executor that belongs to someone else. `StoppedError` when it breaks: it cannot be made anew here.

    `alive` is asked when nothing has ended for a second, for executors that may never tell.
    """
    for _, error in _feed(executor, work, deque(tasks), window, keep, failed, alive):
        told = ": ".join(
            part for part in (type(error).__name__, " ".join(str(error).split())) if part
        )
        raise StoppedError(f"what was to run this went away ({told})")


def in_processes(
    work: Work, tasks: Iterable[Task], workers: int, keep: Keep, failed: Failed
) -> None:
    """Run tasks in processes of this machine.

    One that dies (killed, out of memory) takes its pool along. What was in flight then is tried again in a new pool; what has
    lost its pool twice runs alone, so that a culprit fails by itself and the others go on.
    """
    waiting, alone = deque(tasks), deque[Task]()
    deaths: Counter[int] = Counter()
    try:
        while waiting or alone:
            if alone:
                for task, error in _feed(
                    _local(workers), work, deque([alone.popleft()]), 1, keep, failed
                ):
                    _check_machine(workers)
                    failed(task, error)
                continue
            for task, _ in _feed(_local(workers), work, waiting, 2 * workers, keep, failed):
                deaths[id(task)] += 1
                (alone if deaths[id(task)] == ATTEMPTS - 1 else waiting).append(task)
    except BaseException:  # Ctrl-C above all: nobody waits for what would be thrown away
        _local(workers).shutdown(wait=True, kill_workers=True)
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
    """Feed a pool until nothing waits or it breaks; yields what was in flight when it broke, leaves the rest in `waiting`."""
    running: dict[Future[Any], Task] = {}
    broken = False
    while running or (waiting and not broken):
        while waiting and len(running) < window and not broken:
            task = waiting.popleft()
            try:
                running[pool.submit(work, *task)] = task
            except RuntimeError as error:  # broken, or shut down
                broken = True
                yield task, error
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
            except (
                Exception
            ) as error:  # the work itself raises nothing: what ran it gave this one up
                failed(task, error)
            else:
                keep(outcome)


def _check_machine(workers: int) -> None:
    """A task that died alone is to blame, unless nothing at all runs here."""
    try:
        _local(workers).submit(os.getpid).result()
    except BrokenExecutor as error:
        raise StoppedError(
            f"worker processes die whatever they run ({type(error).__name__})"
        ) from error


def _local(workers: int) -> Any:
    from joblib.externals.loky import get_reusable_executor

    return get_reusable_executor(
        max_workers=workers, initializer=_die_with, initargs=(os.getpid(),)
    )


def _die_with(parent: int) -> None:
    """Workers of a process that was killed would wait for ever, with their memory; run in each of them."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(0.5)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
