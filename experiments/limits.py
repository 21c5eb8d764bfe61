"""A task in a process of its own, ended when it takes too long or too much memory."""

from __future__ import annotations

import contextlib
import faulthandler
import json
import os
import select
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, BinaryIO

import psutil

from experiments.pool import GRACE_S, die_with
from fedstake.errors import FedstakeError, Terminated

POLL_S = 0.05
"""How often time and memory are looked at."""
LAST_WORDS_S = 0.3
"""Silence after which a process that was asked where it is has said all."""

Message = dict[str, Any]
Tell = Callable[[Message], None]


class LimitError(FedstakeError):
    """A run was ended because it went over a limit; notes say where it was."""


class ProcessError(FedstakeError):
    """The process of a run ended by itself: a signal, or an exit of its own."""


@dataclass(frozen=True)
class Limits:
    """Limits of a run; none by default, and then it needs no process of its own."""

    timeout_s: float | None = None
    """Seconds of wall time."""
    memory_bytes: int | None = None
    """Resident memory of its process."""

    def __bool__(self) -> bool:
        return self.timeout_s is not None or self.memory_bytes is not None

    def broken(self, passed_s: float, process: psutil.Process) -> str:
        """Return which limit a process is over, "" when it is within all of them."""
        if self.timeout_s is not None and passed_s > self.timeout_s:
            return f"took longer than {self.timeout_s:g} s (timeout)"
        if self.memory_bytes is not None and _memory(process) > self.memory_bytes:
            return f"took more than {self.memory_bytes / 1e9:g} GB of memory (memory)"
        return ""


def _memory(process: psutil.Process) -> int:
    """Return the resident memory of a process in bytes; 0 when it has ended."""
    try:
        return process.memory_info().rss
    except psutil.NoSuchProcess:
        return 0


@dataclass(frozen=True)
class Report:
    """What a process told, and why it did not come to its end (None when it did)."""

    messages: list[Message]
    error: FedstakeError | None


def in_child(work: Callable[[Tell], None], limits: Limits) -> Report:
    """Run `work` in a fork of this process and return what it told; end it above a limit.

    A fork has everything that is imported here, so that it costs milliseconds; its changes to
    memory stay its own. `work` is given a function for messages of plain values.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    read, write = os.pipe()
    parent = os.getpid()
    pid = os.fork()
    if pid == 0:
        os.close(read)
        _be_child(work, write, parent)
    os.close(write)
    with open(read, "rb", buffering=0) as pipe:
        return _supervise(pid, pipe, limits)


def _be_child(work: Callable[[Tell], None], write: int, parent: int) -> None:
    """Do the work and end this process, whatever happens."""
    code = 1
    try:
        os.setsid()  # what the work starts is ended with it
        die_with(parent)
        # Where it was when it crashed or was ended goes the same way as its messages.
        faulthandler.enable(file=write, all_threads=False)
        faulthandler.register(signal.SIGUSR1, file=write, all_threads=False)

        def tell(message: Message) -> None:
            os.write(write, json.dumps(message).encode() + b"\n")

        work(tell)
        sys.stdout.flush()
        code = 0
    finally:
        os._exit(code)


def _supervise(pid: int, pipe: BinaryIO, limits: Limits) -> Report:
    """Read what a child tells until it ends or goes over a limit."""
    began = time.monotonic()
    process = psutil.Process(pid)
    heard, broken = b"", ""
    try:
        while not broken and not _has_ended(pid):
            chunk = _hear(pipe, POLL_S)
            heard += chunk
            if not chunk:
                time.sleep(POLL_S / 10)  # a child that closed its pipe is heard no more
            broken = limits.broken(time.monotonic() - began, process)
    except KeyboardInterrupt as interrupt:
        _hand_on(pid, interrupt)
        raise
    if broken:
        os.kill(pid, signal.SIGUSR1)
        while chunk := _hear(pipe, LAST_WORDS_S):
            heard += chunk

    # Everything that the child started is in its group.
    with contextlib.suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGKILL)
    status = os.waitpid(pid, 0)[1]
    while chunk := _hear(pipe, 0):
        heard += chunk

    messages, rest = _parse(heard)
    error: FedstakeError | None = None
    if broken:
        error = LimitError(broken)
    elif status:
        error = ProcessError(f"its process {_ending(status)}")
    if error is not None and rest:
        error.add_note(rest)
    return Report(messages, error)


def _hand_on(pid: int, interrupt: KeyboardInterrupt) -> None:
    """Interrupt a child as its parent was; end it when it has had time to keep what it did."""
    number = signal.SIGTERM if isinstance(interrupt, Terminated) else signal.SIGINT
    until = time.monotonic() + GRACE_S
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)
        while not _has_ended(pid) and time.monotonic() < until:
            time.sleep(POLL_S)
        os.killpg(pid, signal.SIGKILL)
    os.waitpid(pid, 0)


def _hear(pipe: BinaryIO, wait_s: float) -> bytes:
    """Return what comes through a pipe within a time; nothing when it is silent or closed."""
    return pipe.read(65_536) if select.select([pipe], [], [], wait_s)[0] else b""


def _has_ended(pid: int) -> bool:
    """Return whether a child has ended; it stays to be waited for, so that its id is its own."""
    return os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


def _parse(heard: bytes) -> tuple[list[Message], str]:
    """Return the messages among the lines of a child, and the other lines."""
    messages, rest = [], []
    for line in heard.decode(errors="replace").splitlines():
        try:
            messages.append(dict(json.loads(line)))
        except (ValueError, TypeError):
            rest.append(line)
    return messages, "\n".join(rest)


def _ending(status: int) -> str:
    """Return how a process ended."""
    code = os.waitstatus_to_exitcode(status)
    if code < 0:
        return f"was ended by {signal.Signals(-code).name}"
    return f"ended itself with exit code {code}"
