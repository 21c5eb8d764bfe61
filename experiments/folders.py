"""Folders with several writers: a lock that ends with its process, and durable changes."""

from __future__ import annotations

import contextlib
import fcntl
import os
import socket
import warnings
from collections.abc import Iterator
from pathlib import Path

from fedstake.errors import FedstakeWarning


@contextlib.contextmanager
def exclusive(folder: Path, name: str, activity: str) -> Iterator[None]:
    """Hold the lock `folder/name.lock`; wait for the process that holds it, and warn who it is.

    The lock belongs to the operating system and ends with its process, however that ends; the file
    stays. Threads of one process exclude each other too.

    Args:
        folder: an existing folder that can be written.
        name: of the lock.
        activity: what its holder does, as a verb with object; others are told so.
    """
    file = os.open(folder / f"{name}.lock", os.O_RDWR | os.O_CREAT, 0o644)
    try:
        _acquire(file, folder)
        note = f"process {os.getpid()} on {socket.gethostname()} {activity}"
        os.ftruncate(file, 0)
        os.pwrite(file, note.encode(), 0)
        yield
    finally:
        os.close(file)


def _acquire(file: int, folder: Path) -> None:
    """Lock an open file, and say so before waiting for somebody else."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        holder = os.pread(file, 500, 0).decode(errors="replace") or "another process works here"
        _warn(f"{folder}: {holder}; waiting until it ends (Ctrl-C stops waiting)")
        fcntl.flock(file, fcntl.LOCK_EX)
    except OSError as error:
        reason = error.strerror or str(error)
        _warn(f"{folder}: cannot be locked ({reason}); let no other process write there")


def sync(folder: Path) -> None:
    """Wait until the entries of a folder are on disk: names of files that appeared or went."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _warn(message: str) -> None:
    warnings.warn(message, FedstakeWarning, stacklevel=4)
