"""A recorded run on the real runtime: equal balances, every batch exactly once, equal bytes."""

import pytest

from chain_bridge import Options, PlanError, ReplayError, RpcError, replay_run
from chain_bridge.client import Chain
from chain_bridge.extrinsic import sign
from chain_bridge.landed import nonce
from chain_bridge.plan import MONEY
from chain_bridge.reconcile import reconcile
from chain_bridge.recording import read
from chain_bridge.replay import replay
from tests.chain_bridge.conftest import BETS, COLLECTIVE, COORDINATOR, DEPOSITS, EQUAL_SHARE
from tests.chain_bridge.test_notes import rewritten

RUNS = {
    "vbfl": {},
    "coordinator": COORDINATOR,
    "equal-share": EQUAL_SHARE,
    "annotation": {"preset": "annotation"},
    "deposits": DEPOSITS,
    "bets": BETS,
    "collective": COLLECTIVE,
}
ONCE_MORE = ("vbfl", "coordinator", "deposits", "collective")
"""Whose money is replayed in the native token too: rewards, deposits, burns, approvals, licences.
"""


NATIVE = [
    pytest.param("native", 1, name, marks=[] if name in ONCE_MORE else pytest.mark.soak)
    for name in RUNS
]


@pytest.mark.parametrize(
    ("token", "rounds", "name"), [*(("asset", 2, name) for name in RUNS), *NATIVE]
)
def test_replays_and_reconciles(chain, operator, recorded, scripted, name, token, rounds):
    folder = recorded(**RUNS[name], rounds=rounds)
    script = scripted(chain, folder, token=token)
    done = replay(chain, script, operator)
    assert (done.found, done.sent) == (0, len(script.batches))
    books = reconcile(chain, script)
    assert books.agrees, books.verdict
    run = read(folder)
    moved = [r for r in books.rows if r.check == "moved"]
    assert sum(abs(r.journal) for r in moved) > 0
    # Every account's last balance on the chain is what the run recorded of it.
    devices = run.tables["participants"]
    last = devices[devices["round"] == devices["round"].max()]
    wanted = {f"device:{d}": int(b) for d, b in zip(last["device"], last["balance"], strict=True)}
    found = {
        r.account: r.chain
        for r in books.rows
        if r.check == "recorded balance" and r.round == max(x.round for x in books.rows)
    }
    assert {k: v for k, v in wanted.items() if v or k in found} == found
    fees = books.fees.frame()
    assert fees["fee"].sum() == books.fees.total > 0
    assert books.fees.by_round()["calls"].sum() == len(script.actions) + len(script.batches)


def test_a_coordinated_run_has_everything(recorded, chain, scripted):
    script = scripted(chain, recorded(**COORDINATOR))
    counts = script.plan.counts()
    assert {"mint", "transfer", "burn", "note", "propose", "approve"} <= counts.keys()
    reasons = {a.reason for a in script.actions}
    assert {"stake.join", "bond.join", "commitment", "reveal", "roles", "votes"} <= reasons
    assert reasons & {"slash", "forfeit"}
    assert counts["note"] > 10
    assert not script.skipped


def test_a_market_has_everything(recorded, chain, scripted):
    """Every kind of payment is a transfer, the accepted data of each round are a note."""
    expected = {
        "deposits": {"market.deposit", "market.refund", "market.report"},
        "bets": {"market.bounty", "market.deposit", "market.reward", "market.collect"},
    }
    for name, reasons in expected.items():
        folder = recorded(**RUNS[name])
        script = scripted(chain, folder)
        assert reasons <= {action.reason for action in script.actions}, name
        accepted = read(folder).tables["submissions"].dropna(subset="datum")
        assert len(accepted) > 10
        notes = [action.round for action in script.actions if action.reason == "data"]
        assert notes == sorted(set(accepted["round"]))
        assert not script.skipped


def test_again_is_nothing(chain, operator, recorded, scripted):
    script = scripted(chain, recorded(rounds=2))
    replay(chain, script, operator)
    head = chain.head()
    again = replay(chain, script, operator)
    assert (again.found, again.sent, chain.head()) == (len(script.batches), 0, head)


def test_goes_on_where_it_stopped(chain, operator, recorded, scripted):
    script = scripted(chain, recorded(rounds=2), most=3)
    assert len(script.batches) > 5

    stopped(chain, script, operator, 3)
    done = replay(chain, script, operator)
    assert (done.found, done.sent) == (4, len(script.batches) - 4)
    assert reconcile(chain, script).agrees


def test_another_form_of_the_same_run_is_refused(chain, operator, recorded, scripted):
    folder = recorded(rounds=1)
    replay(chain, scripted(chain, folder, most=5), operator)
    with pytest.raises(PlanError, match="replayed here in another form"):
        replay(chain, scripted(chain, folder, most=4), operator)


@pytest.mark.soak
@pytest.mark.slow
def test_two_fresh_chains_end_with_the_same_hash(recorded, tmp_path):
    folder = recorded(**COORDINATOR)
    heads = [replay_run(folder, out=tmp_path / name).books.head for name in ("one", "two")]
    assert heads[0] == heads[1]


@pytest.mark.parametrize("scale", [pytest.param(1, marks=pytest.mark.soak), 7])
def test_an_asset_that_is_not_there_is_created(chain, operator, recorded, scripted, scale):
    """Its accounts need native units to exist: these are funded and counted.

    Stopped and begun again, the script is still the same.
    """
    folder = recorded(rounds=2)
    script = scripted(chain, folder, asset=1000 + scale, scale=scale)
    assert [a.kind for a in script.actions[:2]] == ["create", "fund"]
    stopped(chain, script, operator, 1)
    again = scripted(chain, folder, asset=1000 + scale, scale=scale)
    assert again.digest == script.digest
    assert replay(chain, again, operator).found == 2
    books = reconcile(chain, again)
    assert books.agrees, books.verdict
    assert {r.journal % scale for r in books.rows if r.check == "moved"} == {0}
    assert (
        replay(chain, scripted(chain, folder, asset=1000 + scale, scale=scale), operator).sent == 0
    )
    # Another run finds the asset there: it has nothing to create, and stays so as well.
    other = recorded(rounds=1)
    script = scripted(chain, other, asset=1000 + scale)
    assert "create" not in script.plan.counts()
    replay(chain, script, operator)
    assert reconcile(chain, scripted(chain, other, asset=1000 + scale)).agrees


def stopped(chain, script, operator, batch):
    """A client that ends once a batch has landed."""

    def stop(landed):
        if landed.batch == batch:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        replay(chain, script, operator, on_batch=stop)


def test_another_run_in_between(chain, operator, recorded, scripted):
    """Half a replay, another one, the other half: both agree, the first reports the other."""
    first, second = scripted(chain, recorded(rounds=2), most=5), scripted(chain, recorded(rounds=1))
    stopped(chain, first, operator, 2)
    replay(chain, second, operator)
    replay(chain, first, operator)
    books = [reconcile(chain, s) for s in (first, second)]
    assert all(b.agrees for b in books), books[0].verdict
    assert [len(b.skipped) for b in books] == [1, 0]
    assert (
        books[0]
        .skipped[0]
        .startswith(f"{len(second.batches)} transactions of the operator for other runs")
    )


class TestBehindOurBack:
    """Between reading what has landed and sending what has not, the chain may change."""

    def test_a_batch_of_a_killed_client_waits_in_the_pool(
        self, undone, operator, recorded, scripted
    ):
        """The node makes blocks by itself, and makes one just after we have looked."""
        chain = undone
        script = scripted(chain, recorded(rounds=2), most=5)
        stopped(chain, script, operator, 2)
        waits = sign(
            script.runtime,
            chain.genesis,
            script.batch_call(script.batches[3]),
            operator,
            nonce(chain, operator.public),
        )
        chain.rpc("author_submitExtrinsic", "0x" + waits.hex())
        chain.__dict__["sealing"] = "by itself"
        ticked = []

        def tick(landed):
            if landed.batch == 2 and not ticked:
                ticked.append(True)
                chain.rpc("dev_newBlock", {"count": 1})
                chain.rpc("dev_setBlockBuildMode", "Instant")

        done = replay(chain, script, operator, on_batch=tick)
        assert (done.found, done.sent) == (3, len(script.batches) - 4)
        assert reconcile(chain, script).agrees

    def test_another_client_of_the_same_run(self, chain, devchain, operator, recorded, scripted):
        with Chain(devchain.url) as other:
            script = scripted(chain, recorded(rounds=2), most=5)
            stopped(chain, script, operator, 2)
            met = []

            def second(landed):
                if landed.batch == 2 and not met:
                    met.append(True)
                    stopped(other, script, operator, 3)

            done = replay(chain, script, operator, on_batch=second)
            assert done.sent == len(script.batches) - 4
            assert reconcile(chain, script).agrees

    def test_a_rollback_just_before_a_batch_is_sent(
        self, chain, operator, recorded, scripted, monkeypatch
    ):
        script = scripted(chain, recorded(rounds=2), most=5)
        rolled, read = [], script.batch_call

        def batch_call(batch, when=None):
            if batch.index == 4 and not rolled:
                rolled.append(True)
                chain.rpc("dev_setHead", -3)
            return read(batch, when)

        monkeypatch.setattr(script, "batch_call", batch_call)
        done = replay(chain, script, operator)
        assert done.repaired == 1
        assert len(done.landed) == len(script.batches)
        assert reconcile(chain, script).agrees


def test_what_is_asked_of_the_chain_cannot_be_sent(
    chain, operator, recorded, scripted, monkeypatch
):
    """Weights and fees are asked with transactions that nobody signed."""
    asked, rpc = [], Chain.rpc
    monkeypatch.setattr(
        Chain,
        "rpc",
        lambda self, method, *params: asked.append(params) or rpc(self, method, *params),
    )
    scripted(chain, recorded(**COORDINATOR))
    probes = [p[1] for p in asked if p and p[0] == "TransactionPaymentApi_query_info"]
    assert len(probes) > 4
    for probe in probes:
        with pytest.raises(RpcError, match=r"(?i)bad ?proof|bad signature|unreachable"):
            chain.rpc("author_submitExtrinsic", probe[:-8])


def test_model_versions_become_items(chain, operator, recorded, scripted):
    folder = recorded(versions={"record": True})
    script = scripted(chain, folder)
    versions = read(folder).tables["versions"]
    assert script.plan.counts()["version"] == len(versions) > 2
    replay(chain, script, operator)
    assert reconcile(chain, script).agrees
    collection = script.collection.to_bytes(4, "little")
    for number, weights in enumerate(versions["weights"]):
        item = chain.read("Uniques", "InstanceMetadataOf", collection, number.to_bytes(4, "little"))
        assert item["data"][:32].hex() == weights
        assert item["is_frozen"]


@pytest.mark.parametrize("token", ["asset", "native"])
def test_licences_are_items_of_their_buyers(chain, operator, recorded, scripted, token):
    def sell(manifest):
        attributes = {"usage": "group", "paid": "income"}
        sold = {"type": "licences", "table": "participants", "buyer": "device"}
        manifest["notes"].append({**sold, "attributes": attributes, "equal": {"role": "worker"}})

    folder = rewritten(recorded(rounds=1), sell)
    script = scripted(chain, folder, token=token)
    replay(chain, script, operator)
    books = reconcile(chain, script)
    assert books.agrees, books.verdict
    people = read(folder).tables["participants"]
    sold = people[people["role"] == "worker"]
    assert script.plan.counts()["licence"] == len(sold) > 2
    collection = script.licences.to_bytes(4, "little")
    for number, (device, income) in enumerate(zip(sold["device"], sold["income"], strict=True)):
        item = number.to_bytes(4, "little")
        assert chain.read("Uniques", "Asset", collection, item)["owner"] == script.money.seat(
            device
        )
        paid = chain.read("Uniques", "Attribute", collection, b"\x01" + item, b"\x10paid")
        assert str(income).encode() in paid


def test_a_node_that_makes_its_own_blocks(undone, operator, recorded, scripted):
    """The path of other dev nodes: mortal transactions, polling for inclusion, finality."""
    undone.rpc("dev_setBlockBuildMode", "Instant")
    undone.__dict__["sealing"] = "by itself"
    script = scripted(undone, recorded(**COORDINATOR, rounds=1))
    done = replay(undone, script, operator)
    assert done.sent == len(script.batches)
    assert reconcile(undone, script).agrees


def test_a_rollback_is_noticed_and_repaired(chain, operator, recorded, scripted):
    script = scripted(chain, recorded(rounds=2), most=4)
    heads, rolled = {}, []

    def on_batch(landed):
        heads[landed.batch] = landed.block
        if landed.batch == 4 and not rolled:
            rolled.append(landed)
            chain.rpc("dev_setHead", -3)

    done = replay(chain, script, operator, on_batch=on_batch)
    assert done.repaired == 1
    assert done.sent == len(script.batches) + 3
    assert heads[4] == rolled[0].block, "the same transactions give the same blocks"
    assert reconcile(chain, script).agrees


def test_a_rollback_after_the_end_shows(chain, operator, recorded, scripted):
    script = scripted(chain, recorded(rounds=1), most=3)
    replay(chain, script, operator)
    chain.rpc("dev_setHead", -3)
    with pytest.raises(ReplayError, match=r"of .* batches are there; fedstake replay goes on"):
        reconcile(chain, script)
    assert replay(chain, script, operator).sent == 3
    assert reconcile(chain, script).agrees


def test_a_run_without_money_is_replayed_too(chain, operator, recorded, scripted):
    script = scripted(chain, recorded(rounds=2, payout={"mechanism": "none"}))
    assert not [a for a in script.actions if a.kind in MONEY]
    replay(chain, script, operator)
    assert reconcile(chain, script).agrees


def test_a_run_of_another_protocol_is_replayed_too(chain, operator, recorded, scripted):
    """No declared notes, no votes, no blocks, no participants: the books of its money agree."""

    def change(manifest):
        manifest["notes"] = []
        for name in ("votes", "blocks", "participants"):
            del manifest["files"][f"{name}.parquet"]

    script = scripted(chain, rewritten(recorded(rounds=2), change))
    assert not script.skipped
    replay(chain, script, operator)
    books = reconcile(chain, script)
    assert books.agrees
    assert "recorded balance" not in {r.check for r in books.rows}
    assert list(books.fees.by_round()) == ["round", "calls", "fee"]


@pytest.mark.soak
@pytest.mark.parametrize("preset", ["vbfl", "coordinator", "equal-share"])
def test_twenty_devices_fifty_rounds(preset, tmp_path):
    """The sizes that the tables of papers have, on real digits; twice, with one hash."""
    from experiments import load_scenario, run

    changes = {"rounds": 50}
    name = "coordinator" if preset == "coordinator" else "digits-quick"
    if preset == "equal-share":
        changes |= {
            "payout.mechanism": "equal-share",
            "payout.params": {"pool": 150_000, "deadline": 50, "stake": 1000},
            "payout.initial_balance": 5000,
        }
    folder = run(load_scenario(name, changes), tmp_path / "run").path
    done = [replay_run(folder, out=tmp_path / n) for n in ("one", "two")]
    assert all(d.books.agrees for d in done)
    assert done[0].books.head == done[1].books.head


def test_options_are_the_same_from_python(recorded, devchain, tmp_path):
    options = Options(endpoint=devchain.url, scale=3)
    done = replay_run(recorded(rounds=1), options, out=tmp_path / "replay")
    assert done.books.agrees
    assert sorted(p.name for p in (tmp_path / "replay").iterdir()) == [
        "batches.parquet",
        "fees.parquet",
        "participants.parquet",
        "reconciliation.parquet",
        "rounds.parquet",
        "verdict.json",
    ]
