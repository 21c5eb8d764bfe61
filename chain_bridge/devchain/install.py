"""The dev chain's programs: installed once per lock file into the user's cache folder."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

from chain_bridge.devchain.node import find_node
from chain_bridge.errors import BridgeError
from chain_bridge.keys import environment

HERE = Path(__file__).parent
FOLDER = "FEDSTAKE_DEVCHAIN"
_LOCKED = ("package.json", "package-lock.json")


def folder() -> Path:
    """Return where programs, genesis and state are.

    It is the environment's `FEDSTAKE_DEVCHAIN`, else a folder in the user's cache.
    """
    if os.environ.get(FOLDER):
        return Path(os.environ[FOLDER]).expanduser()
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(cache) / "fedstake" / "devchain"


def programs() -> Path:
    """Return the folder of the installed programs, named by the lock file's hash."""
    lock = b"".join((HERE / name).read_bytes() for name in _LOCKED)
    return folder() / f"programs-{hashlib.sha256(lock).hexdigest()[:12]}"


def installed() -> bool:
    """Return whether the programs are there; installation is atomic, so they are complete."""
    return (programs() / "node_modules").is_dir()


def install(*, timeout_s: float = 900.0) -> Path:
    """Install the programs where they are missing (`npm ci --ignore-scripts`); return their folder.

    Raises `BridgeError` with npm's own message.
    """
    place = programs()
    if installed():
        return place
    with locked(folder() / "install.lock"):
        if installed():  # by another process meanwhile
            return place
        with tempfile.TemporaryDirectory(dir=folder(), prefix=".installing-") as partial:
            for name in _LOCKED:
                shutil.copy(HERE / name, partial)
            _npm_ci(Path(partial), timeout_s)
            made = Path(partial) / "whole"
            made.mkdir()
            for name in (*_LOCKED, "node_modules"):
                os.rename(Path(partial) / name, made / name)
            shutil.rmtree(place, ignore_errors=True)
            os.rename(made, place)
    return place


def _npm_ci(place: Path, timeout_s: float) -> None:
    options = ("--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error")
    command = [*find_node().npm, "ci", *options]
    try:
        done = subprocess.run(
            command,
            cwd=place,
            env=environment(),
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise BridgeError(f"npm ci of the dev chain did not end within {timeout_s:g} s") from None
    if done.returncode:
        lines = [line for line in (done.stderr or done.stdout).splitlines() if line.strip()]
        reason = lines[0] if lines else f"exit status {done.returncode}"
        raise BridgeError(f"npm could not install the dev chain: {reason}")


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold a lock among processes until the block ends."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
