"""The record of a sweep in progress: one line per run that ended, appended as it ends."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

MANIFEST = "manifest.jsonl"


@dataclass(frozen=True)
class Receipt:
    """What became of a run. `status` is done or failed; `stage` and `error` say where and why a run failed."""

    run_id: str
    status: str
    wall_s: float = 0.0
    cpu_s: float = 0.0
    bytes: int = 0
    stage: str = ""
    error: str = ""


def append(folder: Path, receipt: Receipt) -> None:
    """Add one line, whole: a reader may be there, and the process may be killed at any moment.

    A line that a killed process left unfinished is closed first, so that it cannot swallow this one.
    """
    line = json.dumps(asdict(receipt), separators=(",", ":")) + "\n"
    descriptor = os.open(folder / MANIFEST, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
    try:
        size = os.fstat(descriptor).st_size
        torn = size > 0 and os.pread(descriptor, 1, size - 1) != b"\n"
        os.write(descriptor, (b"\n" if torn else b"") + line.encode())
    finally:
        os.close(descriptor)


def receipts(folder: Path) -> dict[str, Receipt]:
    """The last receipt of every run; lines that are no receipts (torn by a crash) are passed over."""
    return {r.run_id: r for r in _lines(folder)}


def _lines(folder: Path) -> Iterator[Receipt]:
    file = folder / MANIFEST
    if not file.is_file():
        return
    with file.open(encoding="utf-8", errors="replace") as lines:
        for line in lines:
            try:
                yield Receipt(**json.loads(line))
            except (ValueError, TypeError):
                continue
