"""Devices that sign for themselves, on the real runtime."""

import json
from dataclasses import replace

import pandas as pd
import pytest
from typer.testing import CliRunner

from chain_bridge import Options, PlanError, ReplayError, RpcError, SafetyError, replay_run, witness
from chain_bridge.binding import Form, _bind
from chain_bridge.client import Chain
from chain_bridge.custody import device_key
from chain_bridge.devchain.genesis import ASSET
from chain_bridge.devices import NO_DEVICE, device_of
from chain_bridge.errors import BridgeError
from chain_bridge.extrinsic import sign, signed_by, well_signed
from chain_bridge.landed import nonce, scan
from chain_bridge.money import OPERATOR
from chain_bridge.plan import MONEY
from chain_bridge.reconcile import reconcile
from chain_bridge.recording import read
from chain_bridge.replay import replay
from chain_bridge.safety import DEVELOPMENT, LIVE, Identity, devices_may_sign
from experiments.cli import app
from tests.chain_bridge.conftest import COLLECTIVE, COORDINATOR, EQUAL_SHARE
from tests.chain_bridge.test_failures import send

pytestmark = pytest.mark.slow
RUNS = {
    "vbfl": {},
    "coordinator": COORDINATOR,
    "collective": COLLECTIVE,
}


@pytest.fixture
def owned(chain, recorded, scripted):
    """Bind a run whose devices sign."""

    def build(folder=None, **changes):
        run = recorded(**{"rounds": 1} | changes) if folder is None else folder
        return scripted(chain, run, custody="devices")

    return build


def own_keys(chain, script):
    """Who signed every batch, by the bytes in the blocks."""
    keys = {device_key(script.identity, d).public: d for d in range(100)}
    keys[script.money.operator] = OPERATOR
    bodies = [(x, chain.extrinsics(x.block)[x.extrinsic]) for x in scan(chain, script).landed]
    return {x.batch: keys[signed_by(body)] for x, body in bodies}


@pytest.mark.parametrize(
    "name", [pytest.param("vbfl", marks=pytest.mark.soak), "coordinator", "collective"]
)
def test_replays_and_reconciles(chain, operator, recorded, owned, name):
    folder = recorded(**RUNS[name], rounds=2)
    script = owned(folder)
    done = replay(chain, script, operator)
    assert (done.found, done.sent) == (0, len(script.batches))
    books = reconcile(chain, script)
    assert books.agrees, books.verdict
    assert not books.skipped

    # Whatever leaves a device's account and whatever it notes is signed by its own key.
    signers = own_keys(chain, script)
    for batch in script.batches:
        for a in script.actions[batch.start : batch.stop]:
            if a.kind == "transfer":
                device = device_of(a.debit)
                assert signers[batch.index] == (OPERATOR if device == NO_DEVICE else device)
            elif a.kind in ("note", "propose", "approve"):
                assert signers[batch.index] == a.device
            else:
                assert signers[batch.index] == OPERATOR

    # Everybody pays its own fees, and the sum is what all tables say.
    people = books.participants.set_index("participant")
    devices = people.drop("operator")
    assert (devices["funded"] - devices["fees"]).equals(devices["left"])
    assert (devices["fees"] > 0).all()
    assert people["fees"].sum() == books.fees.total == books.fees.frame()["fee"].sum()
    assert people["calls"].sum() == len(script.actions)
    for device, fee in books.fees.frame().groupby("device")["fee"].sum().items():
        assert fee == people["fees"]["operator" if device == OPERATOR else f"device:{device}"]

    # A block holds a whole round, unless an approval waits for its proposal.
    approving = {b.round for b in script.batches if _approves(script, b)}
    rounds = {b.round for b in script.batches}
    assert len({x.block for x in done.landed}) == len(rounds) + len(approving)


def _approves(script, batch):
    return any(a.kind == "approve" for a in script.actions[batch.start : batch.stop])


def test_the_operator_moves_only_what_has_no_key(owned):
    """Issues, pays out of escrows, burns: nothing else of a device's is left to it."""
    script = owned(**COORDINATOR)
    mine, _ = script.signed_by(OPERATOR, script.batches)
    taken = {a.debit for a in mine if a.kind in MONEY}
    assert taken == {"issuance", "escrow:coordinator-stakes", "escrow:bonds"}


def test_what_is_signed_by_another_is_not_accepted(undone, operator, recorded, owned):
    """Another device's key under the right header: the chain takes it, the bridge does not."""
    chain = undone
    script = owned(**EQUAL_SHARE)
    first, other = [b for b in script.batches if b.signer != OPERATOR][:2]
    thief = script.money.key(other.signer)

    def steal(landed):
        if landed.batch == 0:
            send(chain, operator, chain.runtime.call("System.remark", b""))
            call = script.batch_call(first)
            number = nonce(chain, thief.public)
            forged = sign(chain.runtime, chain.genesis, call, thief, number)
            chain.rpc("dev_newBlock", {"count": 1, "transactions": ["0x" + forged.hex()]})
            assert forged in chain.extrinsics(chain.head().hash)
            assert [x.batch for x in scan(chain, script).landed] == [0]
            raise KeyboardInterrupt

    # The opening is one block: its first batch alone, so that the thief acts before the others.
    script.batches[1:] = [_later(b) for b in script.batches[1:]]
    with pytest.raises(KeyboardInterrupt):
        replay(chain, script, operator, on_batch=steal)
    done = replay(chain, script, operator)
    assert (done.found, done.sent) == (1, len(script.batches) - 1)
    assert own_keys(chain, script)[first.index] == first.signer
    wrong = {(r.check, r.account, r.reason) for r in reconcile(chain, script).differences}
    assert ("signer", f"device:{other.signer}", "transactions of its key") in wrong
    assert ("balance", f"device:{other.signer}", "held") in wrong


def _later(batch):
    """The same batch in the block after its own."""
    return replace(batch, block=batch.block + 1)


def test_a_batch_of_another_key_shows_in_the_books(undone, operator, owned):
    """A device's key makes one transaction beside the replay: the books name it."""
    chain = undone
    script = owned()
    replay(chain, script, operator)
    device = next(b.signer for b in script.batches if b.signer != OPERATOR)
    key = script.money.key(device)
    extra = sign(
        chain.runtime,
        chain.genesis,
        chain.runtime.call("System.remark", b"x"),
        key,
        nonce(chain, key.public),
    )
    # In the last block of the replay, so that it lies in between.
    last = scan(chain, script).landed[-1]
    bodies = ["0x" + x.hex() for x in chain.extrinsics(last.block)[2:]]
    chain.rpc("dev_setHead", chain.parent(last.block))
    chain.rpc("dev_newBlock", {"count": 1, "transactions": [*bodies, "0x" + extra.hex()]})
    wrong = {(r.check, r.account, r.reason) for r in reconcile(chain, script).differences}
    assert ("signer", f"device:{device}", "transactions of its key") in wrong
    assert ("fee", f"device:{device}", "fees") in wrong


def test_a_forged_signature_is_refused_by_the_chain_and_by_the_bridge(
    undone, operator, owned, monkeypatch
):
    chain = undone
    script = owned(**EQUAL_SHARE)
    replay(chain, script, operator)
    device = next(x for x in scan(chain, script).landed if x.signer != OPERATOR)
    body = chain.extrinsics(device.block)[device.extrinsic]

    def holds(extrinsic):
        return well_signed(chain.runtime, chain.genesis, extrinsic, device.number, chain.block_hash)

    assert holds(body)
    places = [3 + 33 + i for i in (2, 40)] + [len(body) - 1]
    for at in places:
        forged = body[:at] + bytes([body[at] ^ 1]) + body[at + 1 :]
        assert not holds(forged)
    with pytest.raises(RpcError, match=r"(?i)bad ?proof|bad signature|stale|outdated|unreachable"):
        chain.rpc("author_submitExtrinsic", "0x" + forged.hex())

    # A node that serves a batch with another signature: it does not count as landed.
    honest = Chain.extrinsics

    def lying(self, block):
        served = list(honest(self, block))
        if block == device.block:
            at = places[0]
            served[device.extrinsic] = body[:at] + bytes([body[at] ^ 1]) + body[at + 1 :]
        return served

    monkeypatch.setattr(Chain, "extrinsics", lying)
    with pytest.raises(ReplayError, match=rf"batch {device.batch} is missing"):
        scan(chain, script)


def test_a_refused_device_goes_on_once_the_cause_is_gone(chain, operator, owned):
    """Its account is frozen: others of its block stand, nothing is paid twice, the books agree."""
    script = owned(**COORDINATOR)
    stake = next(a for a in script.actions if a.reason == "stake.join")
    place = next(b for b in script.batches if stake in script.actions[b.start : b.stop])
    who = script.money.address(stake.debit)
    freeze, thaw = (chain.runtime.call(f"Assets.{c}", ASSET, who) for c in ("freeze", "thaw"))
    script.batches[1:] = [_later(b) for b in script.batches[1:]]
    frozen = []

    def act(landed):
        if landed.batch == 0 and not frozen:
            frozen.append(True)
            send(chain, operator, freeze)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        replay(chain, script, operator, on_batch=act)
    message = (
        rf"refused batch {place.index} of {stake.debit} .*Assets\.Frozen at call 1 of 2, "
        rf"stake\.join of 1,000,000 STAKE from {stake.debit} to escrow:"
    )
    with pytest.raises(ReplayError, match=message):
        replay(chain, script, operator)
    there = {x.batch for x in scan(chain, script).landed}
    assert place.index not in there
    assert place.index + 1 in there
    send(chain, operator, thaw)
    done = replay(chain, script, operator)
    assert (done.found, done.sent) == (len(there), len(script.batches) - len(there))
    books = reconcile(chain, script)
    assert books.agrees, books.verdict
    people = books.participants.set_index("participant")
    assert people["refused"].to_dict() == {name: int(name == stake.debit) for name in people.index}


def test_a_rollback_is_repaired(chain, operator, owned):
    script = owned(rounds=2)
    rolled = []

    def on_batch(landed):
        if script.batches[landed.batch].round == 2 and not rolled:
            rolled.append(landed)
            chain.rpc("dev_setHead", -2)

    done = replay(chain, script, operator, on_batch=on_batch)
    assert done.repaired == 1
    assert reconcile(chain, script).agrees


def test_a_node_that_makes_its_own_blocks(undone, operator, recorded, owned):
    """Transactions of one phase in any order, then the next phase; mortal, polled for.

    Begun again at other prices, devices get what the prices of the beginning gave them.
    """
    undone.__dict__["sealing"] = "by itself"
    undone.rpc("dev_setBlockBuildMode", "Instant")
    folder = recorded(**COORDINATOR, rounds=1, devices=5)
    script = owned(folder)

    def stop(landed):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        replay(undone, script, operator, on_batch=stop)
    where = "0x" + undone.runtime.storage_key("TransactionPayment", "NextFeeMultiplier").hex()
    eightfold = (8 * 10**18).to_bytes(16, "little")
    undone.rpc("dev_setStorage", [[where, "0x" + eightfold.hex()]])
    today = _bind(undone, script.plan, operator, Form("auto", 1, 1, None, "devices"))
    again = owned(folder)
    assert again.base.fee > script.base.fee
    assert again.digest == script.digest != today.digest
    done = replay(undone, again, operator)
    assert (done.found, done.sent) == (1, len(script.batches) - 1)
    books = reconcile(undone, again)
    assert books.agrees, books.verdict


def test_the_command_shows_who_paid_and_writes_no_key(recorded, devchain, tmp_path, caplog, capfd):
    folder = recorded(**EQUAL_SHARE, rounds=1)
    out = tmp_path / "out"
    words = ["replay", str(folder), "--endpoint", devchain.url, "--out", str(out)]
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 0, done.output
    assert "custody: devices" in " ".join(done.output.split())
    assert "fees by who paid them" in done.output
    verdict = json.loads((out / "verdict.json").read_text())
    assert (verdict["custody"], verdict["reconciled"]) == ("devices", True)
    people = pd.read_parquet(out / "participants.parquet")
    assert list(people["participant"])[:2] == ["operator", "device:0"]
    assert people["fees"].sum() == verdict["fees"]

    # Neither the seed of any device nor its signing key is in anything that was written or printed.
    identity = read(folder).identity
    secrets = [bytes(device_key(identity, d)._secret) for d in range(8)]
    tables = [pd.read_parquet(f).to_csv().encode() for f in out.glob("*.parquet")]
    files = [p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()]
    printed = "".join([done.output, caplog.text, *capfd.readouterr()]).encode()
    for text in (*tables, *files, printed):
        for secret in secrets:
            assert secret not in text
            assert secret.hex().encode() not in text
    assert all(s.hex() not in repr(device_key(identity, d)) for d, s in enumerate(secrets))


def test_operator_custody_stays(recorded, devchain, chain, operator, tmp_path):
    """Asked for, the operator signs everything; the other way is then another form of the run."""
    folder = recorded(rounds=1)
    options = Options(endpoint=devchain.url, custody="operator")
    done = replay_run(folder, options, out=tmp_path / "one")
    assert done.books.agrees
    assert done.script.signers().keys() == {OPERATOR}
    assert list(done.books.participants["participant"]) == ["operator"]
    with pytest.raises(PlanError, match=r"replayed here in another form.*--custody"):
        replay_run(folder, Options(endpoint=devchain.url), out=tmp_path / "two")


class TestWhereDevicesMaySign:
    HERE = Identity("ws://127.0.0.1:9944", "Dev", "Development", "node", "0x" + "12" * 32)

    def test_on_development_chains_of_this_machine(self):
        for kind in DEVELOPMENT:
            assert not devices_may_sign(_as(self.HERE, kind=kind))

    @pytest.mark.parametrize("kind", ["Live", "unknown", "Custom"])
    def test_nowhere_else(self, kind):
        assert "is no development chain" in devices_may_sign(_as(self.HERE, kind=kind))

    @pytest.mark.parametrize("genesis", LIVE)
    def test_not_on_forks_of_live_chains(self, genesis):
        assert "is no development chain" in devices_may_sign(_as(self.HERE, genesis=genesis))

    def test_not_on_another_machine(self):
        away = _as(self.HERE, url="ws://10.0.0.5:9944")
        assert "not on this machine" in devices_may_sign(away)

    def test_what_the_user_is_told(self, recorded, devchain, tmp_path, monkeypatch):
        """Signing is refused before anything is sent, and the default is the operator there."""

        told = "ws://x is no development chain"
        monkeypatch.setattr(witness, "devices_may_sign", lambda who: told)
        folder = recorded(rounds=1)
        asked = Options(endpoint=devchain.url, custody="devices")
        with pytest.raises(SafetyError, match=f"--custody devices: {told}"):
            replay_run(folder, asked, out=tmp_path / "one")
        assert witness.dry_run(folder, Options(endpoint=devchain.url)).custody == "operator"

    def test_not_in_the_native_token(self, recorded, devchain, tmp_path):
        folder = recorded(rounds=1)
        asked = Options(endpoint=devchain.url, custody="devices", token="native")
        with pytest.raises(PlanError, match="--custody devices: in the native token"):
            replay_run(folder, asked, out=tmp_path / "one")
        with pytest.raises(BridgeError, match="--custody both: must be operator, devices or auto"):
            Options(custody="both")


def _as(who, **changes):
    return replace(who, **changes)
