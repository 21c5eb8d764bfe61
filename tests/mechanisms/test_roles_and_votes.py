"""Role rules and validation rules: what they draw and what they accept."""

import hashlib
from collections import Counter

import numpy as np
import pytest

from mechanisms import registries as rules
from mechanisms.plugin import PluginError
from mechanisms.vocabulary import Role, RoleObservation, ValidationObservation
from sim.world import World


def draw(name, n=20, *, seed=0, round=1, stakes=None, outcomes=None, previous=b"\0" * 32, **params):
    rule = rules.roles.create(name, params)
    rng = np.random.default_rng(seed)
    seen = RoleObservation(
        round=round,
        eligible=tuple(range(n)),
        stakes=tuple(stakes or [0] * n),
        previous_hash=previous,
        rng=rng,
        outcomes=tuple(outcomes or [(0, 0)] * n),
    )
    return rule.assign(seen)


def devices(roles, role):
    return {d for d, r in roles.items() if r is role}


def test_uniform_follows_its_probabilities():
    count = Counter(
        r
        for seed in range(300)
        for r in draw("uniform", validator=0.2, miner=0.1, seed=seed).values()
    )
    share = {r: n / (300 * 20) for r, n in count.items()}
    # Three of twenty are one of each.
    assert share[Role.VALIDATOR] == pytest.approx(0.05 + 0.85 * 0.2, abs=0.02)
    assert share[Role.MINER] == pytest.approx(0.05 + 0.85 * 0.1, abs=0.02)
    with pytest.raises(PluginError, match="at most"):
        rules.roles.create("uniform", {"validator": 0.7, "miner": 0.7})


def test_stake_decides_who_mines():
    stakes = [1_000_000] * 3 + [0] * 17
    mined = Counter(
        d
        for seed in range(200)
        for d in devices(draw("stake-weighted", stakes=stakes, seed=seed), Role.MINER)
    )
    assert sum(mined[d] for d in range(3)) == 600, "who holds everything mines always"
    even = Counter(
        d for seed in range(400) for d in devices(draw("stake-weighted", seed=seed), Role.MINER)
    )
    assert max(even.values()) < 2 * min(even.values())


def test_stake_weights_are_the_probabilities():
    """One miner: 3/4 of the stake (plus one each) mines 3/4 of the rounds."""
    mined = Counter()
    for seed in range(2_000):
        roles = draw("stake-weighted", 3, stakes=[299, 99, 0], seed=seed, validators=1, miners=1)
        mined[next(iter(devices(roles, Role.MINER)))] += 1
    assert mined[0] / 2_000 == pytest.approx(300 / 401, abs=0.03)
    assert mined[2] / 2_000 == pytest.approx(1 / 401, abs=0.01)


def test_reputation_counts_accepted_and_rejected():
    outcomes = [(98, 0)] + [(0, 98)] * 19
    chosen = Counter(
        d
        for seed in range(300)
        for d in devices(draw("reputation-weighted", outcomes=outcomes, seed=seed), Role.MINER)
    )
    assert chosen[0] > 280
    fresh = Counter(
        d
        for seed in range(300)
        for d in devices(draw("reputation-weighted", seed=seed), Role.MINER)
    )
    assert fresh[0] < 100


def test_fixed_and_its_empty_seats():
    roles = draw("fixed", validators=[3, 4], miners=[7])
    assert devices(roles, Role.VALIDATOR) == {3, 4}
    assert devices(roles, Role.MINER) == {7}
    elsewhere = draw("fixed", validators=[33], miners=[34])
    assert all(devices(elsewhere, role) for role in Role)
    with pytest.raises(PluginError, match="no device twice"):
        rules.roles.create("fixed", {"validators": [1], "miners": [1]})


def test_round_robin_serves_everybody_alike():
    served = Counter()
    for r in range(1, 21):
        served.update(
            {d: 1 for d, role in draw("round-robin", round=r).items() if role is not Role.WORKER}
        )
    assert set(served.values()) == {8}
    assert draw("round-robin", seed=1) == draw("round-robin", seed=2), "no chance in it"


def test_verifiable_is_what_anybody_computes():
    previous = hashlib.sha256(b"block").digest()
    roles = draw("verifiable", previous=previous, round=4)
    order = sorted(range(20), key=lambda d: hashlib.sha256(previous + f"4:{d}".encode()).digest())
    assert devices(roles, Role.VALIDATOR) == set(order[:5])
    assert devices(roles, Role.MINER) == set(order[5:8])
    assert roles != draw("verifiable", previous=hashlib.sha256(b"other").digest(), round=4)


def judge(name, *, accuracies, baseline=0.5, **more):
    params = more.pop("params", {})
    seen = ValidationObservation(
        round=1,
        validator=0,
        workers=tuple(range(len(accuracies))),
        baseline_accuracy=baseline,
        update_accuracies=np.array(accuracies),
        **more,
    )
    return rules.validators.create(name, params).verdicts(seen).tolist()


def test_improvement_compares_with_the_global_model():
    assert judge("improvement", accuracies=[0.39, 0.4, 0.41], global_accuracy=0.4) == [
        False,
        True,
        True,
    ]
    assert judge(
        "improvement", accuracies=[0.44, 0.45], global_accuracy=0.4, params={"margin": 0.05}
    ) == [False, True]


def test_folds_want_a_majority_of_folds():
    """Ten samples, five folds: the baseline is always right, the update wrong in 1, 2 or 3."""
    correct = np.ones((4, 10), dtype=bool)
    for update, folds in enumerate((1, 2, 3), start=1):
        for f in range(folds):
            correct[update, [f, f + 5]] = False
    more = {"correct": correct, "labels": np.zeros(10, dtype=np.int64)}
    assert judge("folds", accuracies=[0.8, 0.6, 0.4], **more) == [True, True, False]
    whole = {"threshold": 0.5}
    assert judge("threshold", accuracies=[0.8, 0.6, 0.4], baseline=1.0, params=whole) == [
        True,
        True,
        False,
    ]


def test_stratified_folds_hold_every_class_alike():
    """Two classes, sorted: plain and stratified folds see the same mixture here."""
    labels = np.repeat([0, 1], 10)
    correct = np.ones((2, 20), dtype=bool)
    correct[1, labels == 1] = False
    more = {"correct": correct, "labels": labels}
    assert judge("folds", accuracies=[0.5], params={"threshold": 0.49}, **more) == [False]
    assert judge("folds", accuracies=[0.5], params={"threshold": 0.5}, **more) == [True]


def test_the_median_of_the_committee_outvotes_one_odd_report():
    reports = np.array([[0.01, 0.3], [0.02, 0.4], [0.9, -0.9], [np.nan, 0.2]])
    assert judge("committee-median", accuracies=[0.1, 0.1], reports=reports) == [True, False]


def test_distance_rejects_what_lies_far_out():
    rows = np.random.default_rng(0).standard_normal((8, 50)).astype(np.float32)
    rows[6] += 10
    rows[7] = np.nan
    assert judge("distance", accuracies=[0.5] * 8, updates=rows) == [True] * 6 + [False, False]
    assert judge("distance", accuracies=[], updates=np.empty((0, 5), np.float32)) == []


@pytest.mark.parametrize("name", rules.validators.names())
@pytest.mark.parametrize("attack", ["honest", "gaussian-noise"])
def test_every_validation_rule_in_a_run(tiny, name, attack):
    """Every rule that looks at updates tells destructive noise from honest work."""
    params = {"worker_params": {"scale": 30.0}} if attack == "gaussian-noise" else {}
    world = World(
        tiny(
            validation__rule=name,
            adversaries=[{"name": "bad", "count": 2, "worker": attack, **params}],
            devices=12,
            roles__params={"counts": "7,3,2"},
            rounds=8,
            training__epochs=3,
            data__params={"train": 800, "separation": 8.0},
        )
    )
    for _ in world.run():
        pass
    votes = world.kernel.recorder.tables()["votes"].to_pandas()
    share = votes.groupby("worker_adversary")["verdict"].mean()
    assert share[False] > 0.7
    if attack == "gaussian-noise" and rules.validators.get(name).individual:
        assert share[True] < 0.4


@pytest.mark.parametrize("name", rules.roles.names())
def test_every_role_rule_in_a_run(tiny, name):
    seats = {"validators": 2, "miners": 1}
    params = {"counts": {"counts": "4,2,2"}, "uniform": {}, "fixed": {}}.get(name, seats)
    world = World(tiny(roles__rule=name, roles__params=params, rounds=4))
    for _ in world.run():
        pass
    people = world.kernel.recorder.tables()["participants"].to_pandas()
    assert (people.groupby("round")["role"].nunique() == 3).all()
    assert world.kernel.recorder.tables()["rounds"].to_pandas()["winner"].notna().all()


def test_matched_baselines_train_as_long_as_workers(tiny):
    """With -1 a baseline is on average as good as an honest update: it trains as long."""

    def deficit(epochs):
        world = World(
            tiny(
                validation__params={"baseline_epochs": epochs, "threshold": 1.0},
                training__epochs=8,
                rounds=3,
                data__params={"train": 800, "separation": 5.0},
            )
        )
        for _ in world.run():
            pass
        return world.kernel.recorder.tables()["votes"].to_pandas()["vad"].mean()

    assert abs(deficit(-1)) < 0.03
    assert deficit(1) < deficit(-1) + 0.01
