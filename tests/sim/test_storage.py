"""Updates in a store beside the chain: times, sizes, costs, and requests that fail."""

import numpy as np
import pytest

from experiments.loader import ScenarioError
from sim.chain.block import HEADER_BYTES
from sim.protocols.vbfl import plan
from sim.world import World

TX = 6 + 5 * 8 + 32 + 64
VOTE = 4 + 25 + 32 + 64


def play(scenario):
    world = World(scenario)
    for _ in world.run():
        pass
    world.close()
    return world


def frames(world):
    return {name: table.to_pandas() for name, table in world.kernel.recorder.tables().items()}


def off(tiny, **changes):
    return tiny(
        **{"storage__kind": "off-chain", "validation__params": {"threshold": 1.0}, **changes}
    )


def test_on_the_chain_nobody_pays_for_a_store_and_its_keys_are_refused(tiny):
    assert (frames(play(tiny()))["participants"]["storage_cost"] == 0).all()
    with pytest.raises(ScenarioError, match=r"acts only where storage.kind is 'off-chain'"):
        tiny(storage__latency_s=9.0)


def test_the_clock_follows_the_cost_model(tiny):
    """One worker, validator and miner: every duration by hand; the store is slower than links."""
    world = play(
        off(
            tiny,
            rounds=1,
            devices=3,
            roles__params={"counts": "1,1,1"},
            network__link_bytes_per_s=1_000.0,
            network__compute_samples_per_s=10.0,
            storage__bytes_per_s=500.0,
            storage__latency_s=2.0,
        )
    )
    f = frames(world)
    votes, blocks, rounds = f["votes"].iloc[0], f["blocks"].iloc[0], f["rounds"].iloc[0]
    samples = {
        p.device: len(world.protocol.game.bench.split.train[p.device])
        for p in world.kernel.population
    }
    through_store = 2.0 + world.protocol.game.bench.engine.size * 4 / 500
    arrive = samples[votes.worker] / 10 + through_store + TX / 1_000
    begin = max(arrive + through_store, samples[votes.validator] / 10)
    cast = begin + len(world.protocol.game.bench.split.validation[votes.validator][1]) / 3 / 10
    assert votes.time_s == pytest.approx(cast)
    generated = cast + (TX + VOTE) / 1_000
    assert blocks.generated_s == pytest.approx(generated)
    assert blocks.size_bytes == HEADER_BYTES + TX + VOTE
    # The worker holds its update and the validator has fetched it; the miner fetches it, and the
    # block leaves at once.
    assert rounds.end_s == pytest.approx(generated + max(through_store, blocks.size_bytes / 1_000))


def test_many_requests_share_a_link_and_each_is_as_fast_as_the_store(tiny):
    store = World(
        off(
            tiny, network__link_bytes_per_s=100.0, storage__bytes_per_s=50.0, storage__latency_s=1.0
        )
    ).protocol.game.store
    assert store.seconds(0, 0, 1_000) == 0
    assert [store.seconds(0, k, 1_000) for k in (1, 2, 4)] == [21.0, 21.0, 41.0]


def test_blocks_carry_digests_and_models_are_the_same(tiny):
    on, beside = play(tiny(validation__params={"threshold": 1.0})), play(off(tiny))
    a, b = frames(on), frames(beside)
    updates = a["blocks"]["updates"] * on.protocol.game.bench.engine.size * 4
    assert (a["blocks"]["size_bytes"] - b["blocks"]["size_bytes"]).tolist() == updates.tolist()
    assert a["rounds"]["accuracy"].equals(b["rounds"]["accuracy"])
    assert a["votes"]["vad"].equals(b["votes"]["vad"])


def test_a_request_that_fails_is_no_vote(tiny):
    world = play(off(tiny, rounds=8, storage__availability=0.6))
    votes = frames(world)["votes"]
    assert set(votes["status"]) == {"counted", "unavailable"}
    gone = votes[votes["status"] == "unavailable"]
    assert 0.2 < len(gone) / len(votes) < 0.6
    assert (
        gone[["verdict", "vote", "time_s", "update_accuracy", "baseline_accuracy", "vad"]]
        .isna()
        .all(axis=None)
    )
    for row in votes.itertuples():
        assert world.protocol.game.store.finds(row.validator, row.worker, row.round) == (
            row.status == "counted"
        )


@pytest.mark.parametrize("rule", ["committee-median", "distance"])
def test_rules_see_only_what_was_fetched(tiny, rule, monkeypatch):
    seen = []
    from mechanisms import registries as rules

    cls = rules.validators.get(rule)
    original = cls.verdicts
    monkeypatch.setattr(
        cls, "verdicts", lambda self, told: seen.append(told) or original(self, told)
    )
    world = play(
        off(tiny, rounds=4, validation__rule=rule, validation__params={}, storage__availability=0.5)
    )
    for told in seen:
        assert all(
            world.protocol.game.store.finds(told.validator, w, told.round) for w in told.workers
        )
        if rule == "committee-median":  # the other does not declare reports
            assert told.reports.shape[1] == len(told.workers)


def test_when_nothing_is_found_nothing_is_accepted(tiny):
    f = frames(play(off(tiny, storage__availability=0.0)))
    assert set(f["votes"]["status"]) == {"unavailable"}
    assert (f["blocks"]["updates"] == 0).all()
    assert f["rounds"]["accuracy"].nunique() == 1


def test_whoever_uploads_bears_the_cost_and_no_money_moves(tiny):
    free, dear = play(off(tiny)), play(off(tiny, storage__cost_per_mb=1e6))
    assert free.kernel.treasury.ledger.journal == dear.kernel.treasury.ledger.journal
    people = frames(dear)["participants"]
    workers = people["role"] == "worker"
    update_bytes = 4 * dear.protocol.game.bench.engine.size
    np.testing.assert_allclose(people.loc[workers, "storage_cost"], update_bytes)
    assert (people.loc[~workers, "storage_cost"] == 0).all()
    np.testing.assert_allclose(
        people["utility"],
        frames(free)["participants"]["utility"] - people["storage_cost"],
        rtol=0,
        atol=1e-9,
    )


def test_fetching_counts_against_the_validators_deadline(tiny):
    """The transaction is there in time, the update is not; nobody waits for it longer than that."""
    quick = frames(play(off(tiny, rounds=1)))
    deadline = float(quick["votes"]["time_s"].max()) + 1.0
    f = frames(
        play(
            off(tiny, rounds=1, storage__latency_s=deadline * 0.75, deadlines__validator_s=deadline)
        )
    )
    assert set(f["votes"]["status"]) == {"late"}
    assert f["blocks"]["generated_s"].max() == pytest.approx(deadline)
    uploading = frames(
        play(off(tiny, rounds=1, storage__latency_s=deadline * 2, deadlines__validator_s=deadline))
    )
    assert set(uploading["votes"]["status"]) == {"late"}


def test_a_miner_cannot_put_other_bytes_under_a_digest(tiny):
    tampering = {
        "adversaries__0__count": 8,
        "adversaries__0__worker": "honest",
        "adversaries__0__miner": "tamper",
    }
    on, beside = (
        play(
            tiny(
                chain__check_signatures=False,
                validation__params={"threshold": 1.0},
                storage__kind=kind,
                **tampering,
            )
        )
        for kind in ("chain", "off-chain")
    )
    honest = play(tiny(validation__params={"threshold": 1.0}))
    games = [world.protocol.game for world in (on, beside, honest)]
    digests = [game.bench.models.digest(game.forks.canonical().model) for game in games]
    assert digests[1] == digests[2] != digests[0]


def test_a_device_that_comes_back_fetches_a_model_beside_the_chain(tiny, monkeypatch):
    away = {
        "availability__kind": "per-round",
        "availability__online": 0.6,
        "rounds": 8,
        "roles__params": {"counts": "3,2,2"},
    }
    waits = []
    original = plan._switch

    def watch(game, *args, **how):
        ready_s = original(game, *args, **how)
        waits.append(ready_s - game.clock.time_s)
        return ready_s

    monkeypatch.setattr(plan, "_switch", watch)
    play(off(tiny, **away, storage__latency_s=1_000.0))
    assert waits
    assert 1_000 < min(waits) <= max(waits) < 1_001


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {
            "consensus__kind": "pow",
            "consensus__difficulty": 1,
            "network__link_bytes_per_s": 2_000.0,
        },
    ],
    ids=["pos", "forks"],
)
def test_runs_repeat_and_resume(tiny, changes):
    scenario = off(tiny, rounds=5, storage__availability=0.8, storage__latency_s=0.1, **changes)
    whole, half, resumed = play(scenario), World(scenario), World(scenario)
    half.step()
    half.step()
    resumed.restore(*half.to_state())
    for _ in resumed.run():
        pass
    tables = [world.kernel.recorder.tables() for world in (resumed, whole, play(scenario))]
    assert tables[0] == tables[1] == tables[2]
    assert resumed.kernel.treasury.ledger.journal == whole.kernel.treasury.ledger.journal
