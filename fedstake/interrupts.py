"""Ctrl-C, told from a `KeyboardInterrupt` that some code raises by itself, and SIGTERM."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from fedstake.errors import Interrupted, Terminated


@contextmanager
def noticing_interrupts() -> Iterator[Callable[[], bool]]:
    """Give the block a function that says whether SIGINT was received since the block began.

    The handler that was there is called as ever. Python handles signals in the main thread only: in
    others, and where SIGINT is ignored, nothing is received.
    """
    before = signal.getsignal(signal.SIGINT)
    here = threading.current_thread() is threading.main_thread()
    if not here or not callable(before):
        yield lambda: False
        return
    received = False

    def notice(number: int, frame: FrameType | None) -> None:
        nonlocal received
        received = True
        before(number, frame)

    signal.signal(signal.SIGINT, notice)
    try:
        yield lambda: received
    finally:
        if signal.getsignal(signal.SIGINT) is notice:
            signal.signal(signal.SIGINT, before)


def like(error: KeyboardInterrupt, message: str) -> Interrupted:
    """Return an interruption of the same kind with a message of its own."""
    kind = Terminated if isinstance(error, Terminated) else Interrupted
    return kind(message)


@contextmanager
def ending_on_sigterm() -> Iterator[None]:
    """Let SIGTERM end the block as Ctrl-C does: `Terminated` is raised in it.

    Where that leaves the block, the process ends by SIGTERM afterwards, as it would have at once:
    whoever sent it sees what it expects. Nothing changes where something else handles SIGTERM, and
    outside the main thread, where Python handles no signals.
    """
    here = threading.current_thread() is threading.main_thread()
    if not here or signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL:
        yield
        return

    def stop(number: int, frame: FrameType | None) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)  # a second one must not break what is kept
        raise Terminated("ended by SIGTERM")

    signal.signal(signal.SIGTERM, stop)
    try:
        yield
    except Terminated:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGTERM)
        raise
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
