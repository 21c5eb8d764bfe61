"""Programs that the bridge starts: what they say, when they listen, how they end."""

from __future__ import annotations

import re
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from chain_bridge.keys import environment


def lines_of(text: str) -> list[str]:
    """Return the lines that are not blank."""
    return [line for line in text.splitlines() if line.strip()]


def await_port(
    log: Path, listening: re.Pattern[str], alive: Callable[[], bool], wait_s: float
) -> int | None:
    """Wait until a program writes to its log at which port it listens, and return the port.

    None when it ended, or when the time is over.
    """
    until = time.monotonic() + wait_s
    while time.monotonic() < until:
        found = listening.search(log.read_text(errors="replace"))
        if found:
            return int(found[1])
        if not alive():
            return None
        time.sleep(0.01)
    return None


def run_to_end(
    command: Sequence[str], timeout_s: float, folder: Path | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a program to its end, without secrets in its environment; return what it said.

    Raises `subprocess.TimeoutExpired`.
    """
    return subprocess.run(
        command,
        cwd=folder,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=timeout_s,
        check=False,
    )
