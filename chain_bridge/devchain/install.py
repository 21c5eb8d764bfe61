"""Programs from npm: installed once per lock file into the user's cache folder."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from chain_bridge.devchain.node import find_node
from chain_bridge.errors import BridgeError
from chain_bridge.processes import lines_of, run_to_end

HERE = Path(__file__).parent
FOLDER = "FEDSTAKE_DEVCHAIN"
_LOCKED = ("package.json", "package-lock.json")


def folder() -> Path:
    """Return where programs, genesis and state are.

    It is the environment's `FEDSTAKE_DEVCHAIN`, else a folder in the user's cache.
    """
    if os.environ.get(FOLDER):
        return Path(os.path.expanduser(os.environ[FOLDER]))
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(cache) / "fedstake" / "devchain"


@dataclass(frozen=True)
class Bundle:
    """Programs that one lock file pins.

    `here`: the folder with package.json and package-lock.json; `prefix`: what their folder in the
    cache is called; `what`: what errors call them.
    """

    here: Path
    prefix: str
    what: str

    def place(self) -> Path:
        """Return the folder of the installed programs, named by the lock file's hash."""
        lock = b"".join((self.here / name).read_bytes() for name in _LOCKED)
        return folder() / f"{self.prefix}-{hashlib.sha256(lock).hexdigest()[:12]}"

    def installed(self) -> bool:
        """Return whether the programs are there; installation is atomic, so they are complete."""
        return (self.place() / "node_modules").is_dir()

    def install(self, *, timeout_s: float = 900.0) -> Path:
        """Install the programs where they are missing; return their folder.

        Uses `npm ci --ignore-scripts`. Raises `BridgeError` with npm's own message.
        """
        place = self.place()
        if self.installed():
            return place
        with locked(folder() / "install.lock"):
            if self.installed():  # by another process meanwhile
                return place
            with tempfile.TemporaryDirectory(dir=folder(), prefix=".installing-") as partial:
                for name in _LOCKED:
                    shutil.copy(self.here / name, partial)
                self._npm_ci(Path(partial), timeout_s)
                made = Path(partial) / "whole"
                made.mkdir()
                for name in (*_LOCKED, "node_modules"):
                    os.rename(Path(partial) / name, made / name)
                shutil.rmtree(place, ignore_errors=True)
                os.rename(made, place)
        return place

    def _npm_ci(self, place: Path, timeout_s: float) -> None:
        options = ("--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error")
        command = [*find_node().npm, "ci", *options]
        try:
            done = run_to_end(command, timeout_s, place)
        except subprocess.TimeoutExpired:
            raise BridgeError(f"npm ci of {self.what} did not end within {timeout_s:g} s") from None
        if done.returncode:
            lines = lines_of(done.stderr or done.stdout) or [f"exit status {done.returncode}"]
            raise BridgeError(f"npm could not install {self.what}: {lines[0]}")


_DEVCHAIN = Bundle(HERE, "programs", "the dev chain")
programs = _DEVCHAIN.place
installed = _DEVCHAIN.installed
install = _DEVCHAIN.install


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold a lock among processes until the block ends."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
