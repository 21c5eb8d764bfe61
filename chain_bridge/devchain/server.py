"""The process of the dev chain: starting, checking and ending it."""

from __future__ import annotations

import contextlib
import json
import os
import re
import resource
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from chain_bridge.client import Chain
from chain_bridge.devchain import genesis
from chain_bridge.devchain.install import HERE, folder, install, installed, locked
from chain_bridge.devchain.node import find_node
from chain_bridge.errors import BridgeError, ChainSilentError
from chain_bridge.keys import environment
from chain_bridge.processes import await_port, lines_of
from fedstake.outside import read_json

CHOPSTICKS = Path("node_modules/@acala-network/chopsticks/chopsticks.cjs")
HOST = "127.0.0.1"
START_S = 180.0
STOP_S = 10.0
STACK_KB = 60_000  # storage layers recurse, one per block: enough for 20,000 blocks
MEMORY_BLOCKS = 1_000_000  # an evicted block reads as the genesis, without an error
PRELOADED = ("blocks.cjs",)  # what Node runs before Chopsticks
OWNED = ("owned.cjs",)  # in a chain that ends with its owner
_LISTENING = re.compile(r"RPC listening on http://127\.0\.0\.1:(\d+)")


@dataclass
class DevChain:
    """A running chain.

    `digest`: of its genesis; `process`: None when another process started it.
    """

    url: str
    pid: int
    digest: str
    log: str
    process: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    def alive(self) -> bool:
        if self.process is not None:
            return self.process.poll() is None
        return _is_ours(self.pid)

    def died(self) -> bool:
        """Return whether it has ended; waits, since its connection breaks before it ends."""
        until = time.monotonic() + 2.0
        while self.alive() and time.monotonic() < until:
            time.sleep(0.05)
        return not self.alive()

    def stop(self) -> None:
        """End the process; harmless when it has ended already."""
        if self.process is not None:
            self.process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(STOP_S)
            self.process.kill()
            self.process.wait()
            if self.process.stdin:
                self.process.stdin.close()
            return
        for signal_number in (15, 9):
            if not _is_ours(self.pid):
                return
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, signal_number)
            until = time.monotonic() + STOP_S
            while _is_ours(self.pid) and time.monotonic() < until:
                time.sleep(0.05)

    def __enter__(self) -> DevChain:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


def start(
    *,
    port: int | None = None,
    owned: bool = True,
    state: dict[str, str] | None = None,
    on_spawn: Callable[[DevChain], None] | None = None,
) -> DevChain:
    """Start a fresh chain on 127.0.0.1 that seals blocks on demand, and verify its genesis.

    `port`: None takes a free one, a taken one is a `BridgeError`; `owned`: the chain ends with this
    process, even if this process is killed; `state`: further genesis storage; `on_spawn`: called
    with the chain before it listens.
    """
    spec, digest = genesis.build(state)
    if port is not None and _taken(port):
        raise BridgeError(f"--port {port}: taken on {HOST}; choose another")
    wanted = port if port is not None else _free_port()
    with tempfile.NamedTemporaryFile(
        dir=folder(), prefix="chain-", suffix=".log", delete=False
    ) as handle:
        log = Path(handle.name)
        command = [find_node().node, f"--stack-size={_stack_kb()}"]
        for name in (*PRELOADED, *(OWNED if owned else ())):
            command += ["--require", str(HERE / name)]
        command += [str(install() / CHOPSTICKS), f"--genesis={spec}"]
        command += [f"--host={HOST}", f"--port={wanted}"]
        command += ["--build-block-mode=Manual", f"--max-memory-block-count={MEMORY_BLOCKS}"]
        process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE if owned else subprocess.DEVNULL,
            stdout=handle,
            stderr=subprocess.STDOUT,
            cwd=folder(),
            env=environment(),
            start_new_session=True,
            preexec_fn=_deepen,
        )
    chain = DevChain("", process.pid, digest, str(log), process)
    try:
        if on_spawn:
            on_spawn(chain)
        found = _listening(chain, log)
        chain.url = f"ws://{HOST}:{found}"
        if found != wanted and port is not None:
            # Taken since it was looked at: Chopsticks goes to the next port.
            raise BridgeError(f"--port {port}: taken on {HOST}; choose another")
        verify(chain.url, digest)
    except BaseException:
        chain.stop()
        raise
    finally:
        if owned:  # nothing must be left if the owner is killed
            log.unlink(missing_ok=True)
    return chain


def verify(url: str, digest: str, timeout_s: float = 30.0) -> None:
    """Raise `BridgeError` unless the chain at an address has the genesis of this digest."""
    with Chain(url, timeout_s) as client:
        first = client.rpc("chain_getBlockHash", 0)
        if client.rpc("state_getStorage", genesis.MARKER, first) != "0x" + digest:
            raise BridgeError(
                f"{url}: this is not the dev chain of this version "
                f"({client.rpc('system_chain')}); fedstake devchain down"
            )


def _listening(chain: DevChain, log: Path) -> int:
    """Wait until a chain listens; return its port. `BridgeError` has a line of its log."""
    port = await_port(log, _LISTENING, chain.alive, START_S)
    if port is not None:
        return port
    lines = lines_of(log.read_text(errors="replace")) or ["it said nothing"]
    if not chain.alive():
        raise BridgeError(f"the dev chain ended at its start: {lines[0]}")
    raise BridgeError(f"the dev chain did not listen within {START_S:g} s: {lines[-1]}")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def _taken(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return True
    return False


def _stack_kb() -> int:
    """Return the depth of Node's stack: what 20,000 blocks need, or what the machine allows."""
    hard = resource.getrlimit(resource.RLIMIT_STACK)[1]
    if hard == resource.RLIM_INFINITY:
        return STACK_KB
    return max(984, min(STACK_KB, int(hard / 1024 * 0.9)))


def _deepen() -> None:
    """Raise the limit of this process's stack to what the machine allows."""
    hard = resource.getrlimit(resource.RLIMIT_STACK)[1]
    resource.setrlimit(resource.RLIMIT_STACK, (hard, hard))


def _is_ours(pid: int) -> bool:
    """Return whether a process is a dev chain, not another that was given its number."""
    try:
        listed = subprocess.run(
            ["ps", "-ww", "-o", "command=", "-p", str(pid)],
            capture_output=True,
            text=True,
            timeout=10,
            check=False,
        )
    except (OSError, subprocess.SubprocessError):
        return False
    return f"--genesis={folder()}" in listed.stdout and "defunct" not in listed.stdout


# --- the chain that outlives a command ------------------------------------------------------------


def up(port: int | None = None) -> tuple[DevChain, bool]:
    """Return the user's dev chain, started where none runs, and whether it was started now."""
    with locked(folder() / "running.lock"):
        running = status()
        if running is not None and not running.url:  # an `up` that was interrupted
            running.stop()
            running = None
        if running is not None:
            if port is not None and running.url != f"ws://{HOST}:{port}":
                raise BridgeError(
                    f"--port {port}: a dev chain runs at {running.url} already; "
                    "fedstake devchain down"
                )
            return running, False
        chain = start(port=port, owned=False, on_spawn=_remember)
        _remember(chain)
        return chain, True


def _remember(chain: DevChain) -> None:
    """Write down which process the user's dev chain is."""
    record = {"url": chain.url, "pid": chain.pid, "digest": chain.digest, "log": chain.log}
    partial = _running().with_suffix(".partial")
    partial.write_text(json.dumps(record))
    partial.replace(_running())


def down() -> DevChain | None:
    """End the user's dev chain and return it; None when none runs."""
    with locked(folder() / "running.lock"):
        running = status()
        if running is not None:
            running.stop()
            Path(running.log).unlink(missing_ok=True)
        _running().unlink(missing_ok=True)
        return running


def status() -> DevChain | None:
    """Return the user's dev chain; None when none runs."""
    try:
        record = read_json(_running())
        chain = DevChain(record["url"], record["pid"], record["digest"], record["log"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return chain if chain.alive() else None


def is_bundled(url: str) -> bool:
    """Return whether a bundled dev chain of this version answers at an address on this machine."""
    if not installed() or not re.fullmatch(rf"wss?://({re.escape(HOST)}|localhost)(:\d+)?/?", url):
        return False
    try:
        verify(url, genesis.build()[1])
    except ChainSilentError:
        raise
    except BridgeError:
        return False
    return True


def _running() -> Path:
    return folder() / "running.json"
