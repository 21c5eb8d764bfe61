"""Tell the user's Ctrl-C from a `KeyboardInterrupt` that some code raises by itself."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType


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
