"""The process of the EVM node: starting, checking and ending it."""

from __future__ import annotations

import contextlib
import ctypes
import re
import signal
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

from chain_bridge.devchain.install import folder
from chain_bridge.errors import BridgeError
from chain_bridge.evm.programs import anvil
from chain_bridge.evm.rpc import Rpc
from chain_bridge.keys import environment
from chain_bridge.processes import await_port, lines_of

HOST = "127.0.0.1"
CHAIN_ID = 31_337
VERSION = "anvil/v1.7.1"
HARDFORK = "prague"
GENESIS_S = 1_767_225_600  # 2026-01-01T00:00:00Z: fixed, so that equal calls give equal roots
START_S = 60.0
STOP_S = 5.0
HISTORY = 8  # blocks and states that are kept in memory; nothing older is read
_LISTENING = re.compile(rf"Listening on {re.escape(HOST)}:(\d+)")
_PR_SET_PDEATHSIG = 1


@dataclass
class Node:
    """A running node, whose port was verified."""

    url: str
    process: subprocess.Popen[bytes] = field(repr=False)

    @property
    def pid(self) -> int:
        return self.process.pid

    def alive(self) -> bool:
        return self.process.poll() is None

    def stop(self) -> None:
        """End the process; harmless when it has ended already."""
        self.process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(STOP_S)
        self.process.kill()
        self.process.wait()

    def __enter__(self) -> Node:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


def start() -> Node:
    """Start a fresh chain on 127.0.0.1 that makes blocks on demand; it ends with this process.

    Gas is counted and costs nothing: accounts need no ether. A killed replay leaves nothing that
    another could meet, because each has a chain of its own.
    """
    options = {
        "host": HOST,
        "port": 0,  # the system chooses a free one
        "chain-id": CHAIN_ID,
        "hardfork": HARDFORK,
        "timestamp": GENESIS_S,
        "order": "fifo",
        "accounts": 0,
        "gas-price": 0,
        "block-base-fee-per-gas": 0,
        "prune-history": HISTORY,
        "transaction-block-keeper": HISTORY,
    }
    command = [str(anvil()), "--no-mining", "--disable-min-priority-fee"]
    command += ["--disable-block-gas-limit", "--no-cors"]
    command += [f"--{name}={value}" for name, value in options.items()]
    folder().mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=folder(), prefix="evm-", suffix=".log") as handle:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=handle,
            stderr=subprocess.STDOUT,
            cwd=folder(),
            env=environment(),
            start_new_session=True,
            preexec_fn=_end_with_owner,
        )
        node = Node("", process)
        try:
            node.url = f"http://{HOST}:{_listening(node, Path(handle.name))}"
            verify(node.url)
        except BaseException:
            node.stop()
            raise
    return node


def verify(url: str) -> None:
    """Raise `BridgeError` unless a fresh node of ours answers at an address."""
    with Rpc(url, START_S) as rpc:
        version, chain_id = rpc("web3_clientVersion"), int(rpc("eth_chainId"), 16)
        height = int(rpc("eth_blockNumber"), 16)
    if (version, chain_id, height) != (VERSION, CHAIN_ID, 0):
        raise BridgeError(
            f"{url}: expected {VERSION} with chain id {CHAIN_ID} and no block, found {version} "
            f"with chain id {chain_id} and {height} blocks"
        )


def _listening(node: Node, log: Path) -> int:
    """Wait until a node listens; return its port. `BridgeError` has a line of its log."""
    port = await_port(log, _LISTENING, node.alive, START_S)
    if port is not None:
        return port
    if node.alive():
        raise BridgeError(f"anvil did not listen within {START_S:g} s")
    lines = lines_of(log.read_text(errors="replace")) or ["no word"]
    raise BridgeError(f"anvil ended at its start: {lines[-1]}")


def _end_with_owner() -> None:
    """Ask the system to end this process when the one that started it ends, however it ends."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
