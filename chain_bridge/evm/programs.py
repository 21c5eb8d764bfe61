"""The programs of the EVM witness: the node, the compiler, contracts that ours build upon."""

from __future__ import annotations

import platform
from pathlib import Path

from chain_bridge.devchain.install import Bundle
from chain_bridge.errors import BridgeError

HERE = Path(__file__).parent
PROGRAMS = Bundle(HERE, "evm-programs", "the EVM witness")

_SYSTEMS = {"Linux": "linux", "Darwin": "darwin"}
_MACHINES = {"x86_64": "amd64", "amd64": "amd64", "aarch64": "arm64", "arm64": "arm64"}


def anvil() -> Path:
    """Return the node's binary, installed where it is missing; it needs no Node.js to run."""
    system = _SYSTEMS.get(platform.system())
    machine = _MACHINES.get(platform.machine().lower())
    if system is None or machine is None:
        raise BridgeError(
            f"there is no anvil for {platform.system()} on {platform.machine()}; "
            "it runs on Linux and macOS, amd64 and arm64"
        )
    package = f"@foundry-rs/anvil-{system}-{machine}"
    binary = PROGRAMS.install() / "node_modules" / package / "bin" / "anvil"
    if not binary.is_file():
        raise BridgeError(f"{binary} is missing: remove the folder {PROGRAMS.place()}, try again")
    return binary
