"""Failures of a chain during a replay: a clear error or a stated partial result, no double payment.

Whatever happens, nothing is paid twice.
"""

import os
import signal
import socket
import struct

import pytest

from chain_bridge import ChainSilentError, Options, PlanError, ReplayError, SafetyError, replay_run
from chain_bridge.client import Chain
from chain_bridge.devchain import server
from chain_bridge.devchain.genesis import ASSET
from chain_bridge.errors import BridgeError
from chain_bridge.extrinsic import sign
from chain_bridge.landed import nonce, scan
from chain_bridge.reconcile import reconcile
from chain_bridge.replay import replay
from chain_bridge.runtime import Runtime
from chain_bridge.safety import CHOPSTICKS_GENESIS
from tests.chain_bridge.conftest import COORDINATOR, EQUAL_SHARE

NUMBER = struct.pack("<I", ASSET)


def send(chain, operator, call):
    """A transaction of the operator beside the replay."""
    extrinsic = sign(chain.runtime, chain.genesis, call, operator, nonce(chain, operator.public))
    chain.rpc("author_submitExtrinsic", "0x" + extrinsic.hex())
    chain.rpc("dev_newBlock", {"count": 1})
    assert "System.ExtrinsicSuccess" in {
        e.name for e in chain.events(chain.head().hash) if e.extrinsic == 2
    }


def strangers(books):
    """Return whether the books agree and report two foreign transactions of the operator."""
    return books.agrees and any(
        s.startswith("2 transactions of the operator for other runs") for s in books.skipped
    )


def after(batch, act):
    """Do something once a batch has landed, once."""
    done = []

    def on_batch(landed):
        if landed.batch == batch and not done:
            done.append(True)
            act()

    return on_batch


def test_an_underfunded_escrow(chain, operator, recorded, scripted):
    script = scripted(chain, recorded(**EQUAL_SHARE, rounds=1), most=12)
    first = next(
        a for a in script.actions if a.kind == "transfer" and a.debit.startswith("escrow:")
    )
    pays = next(b for b in script.batches if first in script.actions[b.start : b.stop])
    stolen = []

    def steal():
        escrow = script.money.address(first.debit)
        stolen.append(chain.read("Assets", "Account", NUMBER, escrow)["balance"])
        send(chain, operator, chain.runtime.call("Assets.burn", ASSET, escrow, stolen[0]))

    act = after(pays.index - 1, steal)
    message = (
        rf"batch {pays.index} .*Assets\.NoAccount at call \d+ of \d+, "
        rf"{first.reason} of .* from {first.debit} to .*nothing of it"
    )
    with pytest.raises(ReplayError, match=message) as refused:
        replay(chain, script, operator, on_batch=act)
    assert f"batches 0 to {pays.index - 1} stand" in str(refused.value)
    assert len(scan(chain, script).landed) == pays.index
    with pytest.raises(
        ReplayError, match=rf"{pays.index} of {len(script.batches)} batches are there"
    ):
        reconcile(chain, script)
    # Mended, it goes on: what stood is not paid again.
    send(
        chain,
        operator,
        chain.runtime.call("Assets.mint", ASSET, script.money.address(first.debit), stolen[0]),
    )
    done = replay(chain, script, operator)
    assert done.found == pays.index
    assert strangers(reconcile(chain, script))


def test_a_frozen_account(chain, operator, recorded, scripted):
    script = scripted(chain, recorded(**COORDINATOR, rounds=1), most=8)
    stake = next(a for a in script.actions if a.reason == "stake.join")
    place = next(b for b in script.batches if stake in script.actions[b.start : b.stop])
    who = script.money.address(stake.debit)
    freeze, thaw = (chain.runtime.call(f"Assets.{c}", ASSET, who) for c in ("freeze", "thaw"))
    if place.index == 0:
        pytest.fail("the account must exist before it is frozen: ask for smaller batches")
    act = after(place.index - 1, lambda: send(chain, operator, freeze))
    with pytest.raises(
        ReplayError,
        match=rf"Assets\.Frozen.* stake\.join of 1,000,000 STAKE from {stake.debit} to escrow:",
    ):
        replay(chain, script, operator, on_batch=act)
    send(chain, operator, thaw)
    assert replay(chain, script, operator).found == place.index
    assert strangers(reconcile(chain, script))


def test_an_existential_deposit_is_respected(otherwise, operator, recorded, scripted):
    """An asset that keeps at least 50 units in an account: amounts must be scaled."""
    with Chain(otherwise.url) as chain:
        folder = recorded(**EQUAL_SHARE, rounds=1)
        with pytest.raises(
            PlanError,
            match=r"would hold \d+ of asset 3, which keeps at least 50 .*--scale \d+ or more",
        ) as refused:
            scripted(chain, folder, asset=3)
        scale = int(str(refused.value).split("--scale ")[1].split()[0])
        assert 1 < scale <= 50
        script = scripted(chain, folder, asset=3, scale=50)
        replay(chain, script, operator)
        assert reconcile(chain, script).agrees


def test_a_batch_over_the_weight_limit(chain, recorded, scripted):
    folder = recorded(devices=40, **{"roles.params": {"counts": "20,10,10"}})
    with pytest.raises(
        PlanError, match=r"--batch 5000: .* the chain takes 1,000,000,000 .* at most 2 "
    ) as refused:
        with_limit(chain, 1_000_000_000, lambda: scripted(chain, folder, most=5000))
    assert "the bridge would choose" in str(refused.value)


def with_limit(chain, ref_time, act):
    """Pretend that the chain's extrinsics may weigh only so much."""
    from chain_bridge.runtime import Weight

    limits = chain.runtime.limits
    chain.runtime.__dict__["limits"] = limits._replace(weight=Weight(ref_time))
    try:
        return act()
    finally:
        chain.runtime.__dict__["limits"] = limits


def test_the_chain_itself_refuses_what_is_too_heavy(chain, operator, recorded, scripted):
    """The limit that the bridge keeps is the chain's own: just above it the pool says so."""
    script = scripted(chain, recorded())
    price, limits = script.prices["mint"], chain.runtime.limits
    fits = (limits.weight.ref_time - script.base.weight.ref_time) // price.weight.ref_time
    mint = chain.runtime.call("Assets.mint", ASSET, bytes(32), 1)
    for count, accepted in ((fits - 2, True), (fits + 2, False)):
        call = chain.runtime.call("Utility.batch_all", [mint] * count)
        extrinsic = sign(
            chain.runtime, chain.genesis, call, operator, nonce(chain, operator.public)
        )
        answer = chain.rpc(
            "state_call",
            "TaggedTransactionQueue_validate_transaction",
            "0x02" + extrinsic.hex() + chain.genesis[2:],
        )
        assert (answer[:4] == "0x00") is accepted


def test_another_genesis(otherwise, recorded, tmp_path, monkeypatch):
    folder, url = recorded(rounds=1), otherwise.url
    with pytest.raises(SafetyError, match="not the bundled dev chain: give its operator's key"):
        replay_run(folder, Options(endpoint=url), out=tmp_path / "replay")
    monkeypatch.setenv("FEDSTAKE_KEY", "//Fedstake")
    with pytest.raises(
        SafetyError, match=r"--allow-endpoint --genesis 0x4545.* lets the bridge sign there"
    ):
        replay_run(folder, Options(endpoint=url, allow_endpoint=True), out=tmp_path / "replay")
    allowed = Options(endpoint=url, allow_endpoint=True, genesis=CHOPSTICKS_GENESIS)
    assert replay_run(folder, allowed, out=tmp_path / "replay").books.agrees
    with pytest.raises(BridgeError, match="this is not the dev chain of this version"):
        server.verify(url, "00" * 32)


def test_a_stale_genesis(devchain, recorded, tmp_path):
    with pytest.raises(
        SafetyError,
        match=r"has genesis 0x45.*, not 0xabab.*: another chain, or one that was set up again",
    ):
        replay_run(
            recorded(),
            Options(endpoint=devchain.url, genesis="0x" + "ab" * 32),
            out=tmp_path / "replay",
        )


def test_a_taken_port(programs):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(BridgeError, match=f"--port {port}: taken on 127.0.0.1"):
            server.start(port=port)


def without(chain, *pallets):
    """The same chain as a client would see it whose metadata lists fewer pallets."""
    metadata = chain.runtime.metadata
    fewer = metadata | {"pallets": [p for p in metadata["pallets"] if p["name"] not in pallets]}
    old = chain.runtime
    chain.__dict__["runtime"] = Runtime(
        old.spec_name, old.spec_version, old.transaction_version, fewer, old.methods
    )


def test_a_chain_without_assets(chain, operator, recorded, scripted):
    without(chain, "Assets")
    folder = recorded(**COORDINATOR, rounds=1)
    with pytest.raises(PlanError, match=r"--token asset: .* has no Assets.mint; --token native"):
        scripted(chain, folder, token="asset")
    script = scripted(chain, folder)
    assert [s.split(":")[0] for s in script.skipped] == ["asset", "burning"]
    replay(chain, script, operator)
    books = reconcile(chain, script)
    assert books.agrees
    assert books.skipped == script.skipped


def test_a_chain_without_registry_and_multisig(chain, operator, recorded, scripted):
    without(chain, "Uniques", "Multisig")
    script = scripted(chain, recorded(versions={"record": True}, **COORDINATOR, rounds=2))
    assert script.skipped == [
        "collective approvals: the chain has no Multisig.approve_as_multi",
        "model versions: the chain has no Uniques.create",
    ]
    assert not {"version", "propose", "approve"} & {a.kind for a in script.actions}
    replay(chain, script, operator)
    assert reconcile(chain, script).agrees


def test_a_chain_without_batches(chain, recorded, scripted):
    without(chain, "Utility")
    with pytest.raises(
        PlanError, match=r"has no Utility.batch_all: without it a batch cannot be paid exactly once"
    ):
        scripted(chain, recorded())


def test_a_chain_that_stops_answering(devchain, chain, operator, recorded, scripted):
    with Chain(devchain.url) as silent:
        script = scripted(silent, recorded(rounds=1), most=3)

        def stop():
            silent.timeout_s = 0.5  # from here on nothing is answered, however long one waits
            os.kill(devchain.pid, signal.SIGSTOP)

        try:
            with pytest.raises(ChainSilentError, match=r"did not answer \w+ within 0.5 s"):
                replay(silent, script, operator, on_batch=after(1, stop))
        finally:
            os.kill(devchain.pid, signal.SIGCONT)
    assert replay(chain, script, operator).found >= 2
    assert reconcile(chain, script).agrees


def test_nobody_listens(recorded, tmp_path):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with pytest.raises(ChainSilentError, match=f"no chain answers at ws://127.0.0.1:{port}"):
        replay_run(recorded(), Options(endpoint=f"ws://127.0.0.1:{port}"), out=tmp_path / "replay")


def test_an_operator_without_means(undone, operator, recorded, scripted):
    undone.rpc("dev_newBlock", {"count": 1})
    where = undone.runtime.storage_key("System", "Account", operator.public)
    account = bytes.fromhex(undone.rpc("state_getStorage", "0x" + where.hex())[2:])
    poor = account[:16] + (10**9).to_bytes(16, "little") + account[32:]
    undone.rpc("dev_setStorage", [["0x" + where.hex(), "0x" + poor.hex()]])
    before = nonce(undone, operator.public)
    script = scripted(undone, recorded(rounds=30))
    with pytest.raises(
        ReplayError,
        match=r"holds 1,000,000,000 \(0\.001 ROC\) of the native token, the replay needs about",
    ):
        replay(undone, script, operator)
    assert nonce(undone, operator.public) == before


def test_an_asset_of_somebody_else(otherwise, recorded, scripted):
    folder = recorded()
    with Chain(otherwise.url) as chain:
        with pytest.raises(PlanError, match=r"--asset 4: its issuer is 0x0707.*, not the operator"):
            scripted(chain, folder, asset=4)
        assert scripted(chain, folder, asset=2).batches


def test_a_refused_batch_is_accounted_for(undone, operator, recorded, scripted):
    """Its fee is the round's, and the books agree once the cause is gone."""
    chain = undone
    script = scripted(chain, recorded(**EQUAL_SHARE, rounds=2), most=12)
    escrow = script.money.address("escrow:stakes")
    where = "0x" + chain.runtime.storage_key("Assets", "Account", NUMBER, escrow).hex()
    spends = next(a for a in script.actions if a.debit == "escrow:stakes")
    place = next(b for b in script.batches if spends in script.actions[b.start : b.stop])
    kept = []

    def lose():
        kept.append(chain.rpc("state_getStorage", where))
        chain.rpc("dev_setStorage", [[where, None]])

    with pytest.raises(ReplayError, match=f"refused batch {place.index}"):
        replay(chain, script, operator, on_batch=after(place.index - 1, lose))
    chain.rpc("dev_setStorage", [[where, kept[0]]])
    replay(chain, script, operator)
    books = reconcile(chain, script)
    # The state that was tampered with is still in the chain's past, at the end of a round;
    # nothing else differs.
    assert {(r.check, r.account) for r in books.differences} <= {("balance", "escrow:stakes")}
    fees = books.fees.frame()
    refusals = fees[fees["reason"] == "refused"]
    assert refusals[["round", "device", "calls"]].to_numpy().tolist() == [[place.round, -1, 1]]
    assert refusals["fee"].sum() > 0


def test_an_account_that_is_not_empty(chain, operator, recorded, scripted):
    script = scripted(chain, recorded())
    send(
        chain,
        operator,
        chain.runtime.call("Assets.mint", ASSET, script.money.address(script.plan.accounts[0]), 7),
    )
    with pytest.raises(
        PlanError,
        match=f"{script.plan.accounts[0]} of this run holds asset 1 before anything was sent",
    ):
        replay(chain, script, operator)


class TestTheBooksCatch:
    """One unit, one byte, anywhere."""

    @pytest.fixture
    def replayed(self, undone, operator, recorded, scripted):
        script = scripted(undone, recorded(rounds=2))
        replay(undone, script, operator)
        return undone, script

    def test_a_unit_too_much_in_an_account(self, replayed):
        chain, script = replayed
        where = chain.runtime.storage_key(
            "Assets", "Account", NUMBER, script.money.address("device:0")
        )
        raw = bytes.fromhex(chain.rpc("state_getStorage", "0x" + where.hex())[2:])
        more = (int.from_bytes(raw[:16], "little") + 1).to_bytes(16, "little") + raw[16:]
        chain.rpc("dev_setStorage", [["0x" + where.hex(), "0x" + more.hex()]])
        books = reconcile(chain, script)
        assert not books.agrees
        wrong = {(r.check, r.account, r.difference) for r in books.differences}
        last = max(r.round for r in books.rows)
        assert ("balance", "device:0", 1) in wrong
        assert {r.round for r in books.differences} == {last}
        assert f"round {last}" in books.verdict

    def test_a_journal_that_says_something_else(self, chain, operator, recorded, scripted):
        """The plan is made from the right journal, the books are compared with one unit more."""
        script = scripted(chain, recorded(rounds=2))
        replay(chain, script, operator)
        journal = script.plan.run.journal
        entry = next(i for i, r in enumerate(journal["reason"]) if r == "reward.worker")
        journal["amount"] = journal["amount"].where(journal.index != entry, journal["amount"] + 1)
        account, r = str(journal["credit"][entry]), int(journal["round"][entry])
        wrong = [
            (x.check, x.round, x.account, x.difference)
            for x in reconcile(chain, script).differences
        ]
        assert ("moved", r, account, -1) in wrong
        assert ("balance", r, account, -1) in wrong

    def test_a_unit_of_native_issuance(self, replayed):
        chain, script = replayed
        where = "0x" + chain.runtime.storage_key("Balances", "TotalIssuance").hex()
        issued = int.from_bytes(bytes.fromhex(chain.rpc("state_getStorage", where)[2:]), "little")
        chain.rpc("dev_setStorage", [[where, "0x" + (issued - 1).to_bytes(16, "little").hex()]])
        assert [(r.check, r.difference) for r in reconcile(chain, script).differences] == [
            ("issuance", 1)
        ]

    def test_calls_that_say_something_else(self, chain, operator, recorded, scripted):
        """A client that signs another hash, item and other texts under the right headers."""
        script = scripted(chain, recorded(versions={"record": True}, **COORDINATOR, rounds=2))
        right, changed = list(script.actions), set()
        for kind, change in (
            ("metadata", "data"),
            ("note", "data"),
            ("propose", "data"),
            ("version", "number"),
        ):
            at = next(i for i, a in enumerate(right) if a.kind == kind)
            wrong = {"data": right[at].data[:-1] + b"!"} if change == "data" else {"number": 99}
            # An approval is proposed and approved with the same text, an item is sealed as minted.
            for i, a in enumerate(right):
                same = (kind == "propose" and a.kind == "approve" and a.data == right[at].data) or (
                    kind == "version" and a.kind == "metadata" and a.number == right[at].number
                )
                if i == at or same:
                    script.actions[i] = script.actions[i]._replace(**wrong)
                    changed |= {b.index for b in script.batches if b.start <= i < b.stop}
        replay(chain, script, operator)
        assert reconcile(chain, script).agrees
        script.actions[:] = right
        books = reconcile(chain, script)
        named = {
            r.call.split(":")[0]
            for r in books.differences
            if "other bytes than asked for" in r.call
        }
        assert named == {f"batch {i}" for i in changed}
        assert len(changed) > 1
