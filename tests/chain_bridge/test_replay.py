"""A recorded run on the real runtime: every balance equal, every batch exactly once, the same bytes every time."""

import pytest

from chain_bridge import Options, PlanError, ReplayError, replay_run
from chain_bridge.client import Chain
from chain_bridge.plan import MONEY
from chain_bridge.reconcile import reconcile
from chain_bridge.recording import read
from chain_bridge.replay import replay
from tests.chain_bridge.conftest import COORDINATOR, EQUAL_SHARE

RUNS = {"vbfl": {}, "coordinator": COORDINATOR, "equal-share": EQUAL_SHARE}


@pytest.mark.parametrize("name", RUNS)
@pytest.mark.parametrize("token", ["asset", "native"])
def test_replays_and_reconciles(chain, operator, recorded, scripted, name, token):
    folder = recorded(**RUNS[name])
    script = scripted(chain, folder, token=token)
    done = replay(chain, script, operator)
    assert (done.found, done.sent) == (0, len(script.batches))
    books = reconcile(chain, script)
    assert books.agrees, books.verdict
    run = read(folder)
    moved = [r for r in books.rows if r.check == "moved"]
    assert sum(abs(r.journal) for r in moved) > 0
    # Every account's last balance on the chain is what the run recorded of it.
    last = run.participants[run.participants["round"] == run.participants["round"].max()]
    wanted = {f"device:{d}": int(b) for d, b in zip(last["device"], last["balance"], strict=True)}
    told = {
        r.account: r.chain for r in books.rows if r.check == "recorded balance" and r.round == max(x.round for x in books.rows)
    }
    assert {k: v for k, v in wanted.items() if v or k in told} == told
    fees = books.fees.frame()
    assert fees["fee"].sum() == books.fees.total > 0
    assert books.fees.by_round()["calls"].sum() == len(script.actions) + len(script.batches)


def test_a_coordinated_run_has_everything(recorded, chain, scripted):
    script = scripted(chain, recorded(**COORDINATOR))
    counts = script.plan.counts()
    assert {"mint", "transfer", "burn", "note", "propose", "approve"} <= counts.keys()
    reasons = {a.reason for a in script.actions}
    assert {"stake.join", "bond.join", "slash", "commitment", "reveal", "roles", "votes"} <= reasons
    assert counts["note"] > 10
    assert not script.skipped


def test_again_is_nothing(chain, operator, recorded, scripted):
    script = scripted(chain, recorded())
    replay(chain, script, operator)
    head = chain.head()
    again = replay(chain, script, operator)
    assert (again.found, again.sent, chain.head()) == (len(script.batches), 0, head)


def test_goes_on_where_it_stopped(chain, operator, recorded, scripted):
    script = scripted(chain, recorded(), most=3)
    assert len(script.batches) > 5

    def stop(landed):
        if landed.batch == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        replay(chain, script, operator, on_batch=stop)
    done = replay(chain, script, operator)
    assert (done.found, done.sent) == (4, len(script.batches) - 4)
    assert reconcile(chain, script).agrees


def test_another_form_of_the_same_run_is_refused(chain, operator, recorded, scripted):
    folder = recorded()
    replay(chain, scripted(chain, folder, most=5), operator)
    with pytest.raises(PlanError, match="replayed here in another form"):
        replay(chain, scripted(chain, folder, most=4), operator)


def test_two_fresh_chains_end_with_the_same_hash(recorded, tmp_path):
    folder = recorded(**COORDINATOR)
    heads = [replay_run(folder, out=tmp_path / name).books.head for name in ("one", "two")]
    assert heads[0] == heads[1]


@pytest.mark.parametrize("scale", [1, 7])
def test_an_asset_that_is_not_there_is_created(chain, operator, recorded, scripted, scale):
    """Its accounts need native units to exist: they are funded, and counted."""
    script = scripted(chain, recorded(), asset=1000 + scale, scale=scale)
    assert [a.kind for a in script.actions[:2]] == ["create", "fund"]
    replay(chain, script, operator)
    books = reconcile(chain, script)
    assert books.agrees, books.verdict
    assert {r.journal % scale for r in books.rows if r.check == "moved"} == {0}


def test_model_versions_become_items(chain, operator, recorded, scripted):
    folder = recorded(registry={"record": True})
    script = scripted(chain, folder)
    versions = read(folder).versions
    assert script.plan.counts()["version"] == len(versions) > 2
    replay(chain, script, operator)
    assert reconcile(chain, script).agrees
    collection = script.collection.to_bytes(4, "little")
    for number, weights in enumerate(versions["weights"]):
        told = chain.read("Uniques", "InstanceMetadataOf", collection, number.to_bytes(4, "little"))
        assert told["data"][:32].hex() == weights
        assert told["is_frozen"]


def test_a_node_that_makes_its_own_blocks(fresh, operator, recorded, scripted):
    """Mortal transactions, polling for inclusion, waiting for finality: the path of other dev nodes."""
    with Chain(fresh().url) as chain:
        chain.rpc("dev_setBlockBuildMode", "Instant")
        chain.__dict__["sealing"] = "by itself"
        script = scripted(chain, recorded(**COORDINATOR))
        done = replay(chain, script, operator)
        assert done.sent == len(script.batches)
        assert reconcile(chain, script).agrees


def test_a_rollback_is_noticed_and_repaired(fresh, operator, recorded, scripted):
    with Chain(fresh().url) as chain:
        script = scripted(chain, recorded(), most=3)
        heads, rolled = {}, []

        def on_batch(landed):
            heads[landed.batch] = landed.block
            if landed.batch == 5 and not rolled:
                rolled.append(landed)
                chain.rpc("dev_setHead", -3)

        done = replay(chain, script, operator, on_batch=on_batch)
        assert done.repaired == 1
        assert done.sent == len(script.batches) + 3
        assert heads[5] == rolled[0].block, "the same transactions give the same blocks"
        assert reconcile(chain, script).agrees


def test_a_rollback_after_the_end_shows(fresh, operator, recorded, scripted):
    with Chain(fresh().url) as chain:
        script = scripted(chain, recorded(), most=3)
        replay(chain, script, operator)
        chain.rpc("dev_setHead", -3)
        with pytest.raises(ReplayError, match=r"of .* batches are there; fedstake replay goes on"):
            reconcile(chain, script)
        assert replay(chain, script, operator).sent == 3
        assert reconcile(chain, script).agrees


def test_a_run_without_money_is_replayed_too(chain, operator, recorded, scripted):
    script = scripted(chain, recorded(payout={"mechanism": "none"}))
    assert not [a for a in script.actions if a.kind in MONEY]
    replay(chain, script, operator)
    assert reconcile(chain, script).agrees


@pytest.mark.slow
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
    done = replay_run(recorded(), Options(endpoint=devchain.url, scale=3), out=tmp_path / "replay")
    assert done.books.agrees
    assert sorted(p.name for p in (tmp_path / "replay").iterdir()) == [
        "batches.parquet",
        "fees.parquet",
        "reconciliation.parquet",
        "rounds.parquet",
        "verdict.json",
    ]
