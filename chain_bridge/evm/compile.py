"""Compile the contracts again: `python -m chain_bridge.evm.compile` writes the artifacts."""

from __future__ import annotations

import subprocess
from pathlib import Path

from chain_bridge.devchain.node import find_node
from chain_bridge.errors import BridgeError
from chain_bridge.evm.contracts import ARTIFACTS
from chain_bridge.evm.programs import HERE, PROGRAMS
from chain_bridge.processes import lines_of, run_to_end


def compile_contracts(
    out: Path = ARTIFACTS, sources: Path = HERE / "contracts", timeout_s: float = 600.0
) -> None:
    """Compile every contract of a folder into `out` with npm's solc; no network is needed.

    Raises `BridgeError` with the compiler's first line, warnings included.
    """
    command = [find_node().node, str(HERE / "compile.mjs")]
    command += [str(PROGRAMS.install()), str(sources), str(out)]
    try:
        done = run_to_end(command, timeout_s)
    except subprocess.TimeoutExpired:
        raise BridgeError(f"solc did not end within {timeout_s:g} s") from None
    if done.returncode:
        lines = lines_of(done.stderr) or [f"exit status {done.returncode}"]
        raise BridgeError(f"solc: {lines[0]}")


if __name__ == "__main__":
    compile_contracts()
