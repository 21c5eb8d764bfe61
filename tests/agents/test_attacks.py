"""Attacks against slow references from the papers' definitions, and in a whole round."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from agents import registries as behaviours
from agents.workers.alie import z_max
from agents.workers.backdoor import trigger
from experiments import load_scenario
from mechanisms.plugin import PluginError
from mechanisms.vocabulary import DataObservation, WorkerObservation
from sim.world import World


def observe(behaviour, rows, others, base, previous=None):
    k = len(rows)
    return WorkerObservation(
        round=1,
        devices=tuple(range(k)),
        updates=rows.astype(np.float32),
        global_models=np.tile(base, (k, 1)).astype(np.float32),
        samples=np.full(k, 100),
        epochs=np.full(k, 5),
        layout=(),
        rngs=tuple(np.random.default_rng(i) for i in range(k)),
        others=others.astype(np.float32) if "others" in behaviour.knows else None,
        previous_models=None if previous is None else np.tile(previous, (k, 1)).astype(np.float32),
    )


def attack(name, rows, others, base, previous=None, **params):
    behaviour = behaviours.workers.create(name, params)
    return behaviour.submit(observe(behaviour, rows, others, base, previous))


@st.composite
def crowds(draw):
    rng = np.random.default_rng(draw(st.integers(0, 10_000)))
    size, honest, bad = draw(st.integers(1, 8)), draw(st.integers(1, 12)), draw(st.integers(1, 4))
    base = rng.standard_normal(size)
    others = base + rng.standard_normal((honest, size))
    if draw(st.booleans()):
        others[:] = others[0]
    return (
        base.astype(np.float32),
        (base + rng.standard_normal((bad, size))).astype(np.float32),
        others.astype(np.float32),
    )


@given(crowds())
def test_sign_flip_and_scaling(crowd):
    base, rows, others = crowd
    np.testing.assert_allclose(
        attack("sign-flip", rows, others, base, factor=2.0).updates,
        base - 2 * (rows - base),
        atol=1e-5,
    )
    np.testing.assert_allclose(
        attack("scaling", rows, others, base, factor=3.0).updates,
        base + 3 * (rows - base),
        atol=1e-5,
    )


@given(crowds(), st.floats(0.1, 3))
def test_alie(crowd, z):
    base, rows, others = crowd
    sent = attack("alie", rows, others, base, z=z).updates
    for row in sent:
        for c, column in enumerate(others.T.astype(float)):
            mean = sum(column) / len(column)
            deviation = (sum((v - mean) ** 2 for v in column) / len(column)) ** 0.5
            assert row[c] == pytest.approx(mean - z * deviation, abs=1e-5)


def test_z_max_is_the_papers():
    """50 devices, 24 corrupted: s = 26 - 24 = 2 supporters (Baruch et al., section 3)."""
    assert z_max(50, 24) == pytest.approx(stats.norm.ppf(24 / 26))
    assert z_max(20, 3) == pytest.approx(stats.norm.ppf((17 - 8) / 17))
    assert z_max(4, 3) == 0
    assert z_max(3, 3) == 0


@given(crowds(), st.floats(0.1, 20))
def test_inner_product(crowd, epsilon):
    base, rows, others = crowd
    sent = attack("inner-product", rows, others, base, epsilon=epsilon).updates
    expected = base - epsilon * (others.astype(float).mean(0) - base)
    np.testing.assert_allclose(sent, np.tile(expected, (len(rows), 1)), atol=2e-5 * max(1, epsilon))


def perturbation(kind, base, others):
    mean = others.astype(float).mean(0)
    update = mean - base
    if kind == "unit":
        return -update / np.linalg.norm(update)
    return -others.astype(float).std(0) if kind == "deviation" else -np.sign(update)


def searched(allowed):
    """The largest gamma by the paper's way: double, then halve the step."""
    gamma, step = 0.0, 1.0
    while allowed(gamma + step) and step < 1e9:
        step *= 2
    for _ in range(200):
        if allowed(gamma + step):
            gamma += step
        step /= 2
    return gamma


@given(crowds(), st.sampled_from(("unit", "deviation", "sign")))
def test_min_max_and_min_sum(crowd, direction):
    base, rows, others = crowd
    wide, p = others.astype(float), perturbation(direction, base, others)
    mean = wide.mean(0)
    pairs = ((wide[:, None] - wide[None]) ** 2).sum(2)
    bounds = {
        "min-max": lambda g: ((mean + g * p - wide) ** 2).sum(1).max() <= pairs.max(),
        "min-sum": lambda g: ((mean + g * p - wide) ** 2).sum() <= pairs.sum(1).max(),
    }
    for name, allowed in bounds.items():
        sent = attack(name, rows, others, base, direction=direction).updates
        expected = mean + (searched(allowed) if np.linalg.norm(p) else 0) * p
        np.testing.assert_allclose(sent, np.tile(expected, (len(rows), 1)), atol=1e-4)


@given(crowds())
def test_free_riders(crowd):
    base, rows, others = crowd
    for name in ("free-ride-zero", "free-ride-noise", "free-ride-copy", "free-ride-stale"):
        assert behaviours.workers.create(name).effort(5) == 0
    sent = attack("free-ride-zero", rows, others, base)
    assert (sent.updates == base).all()
    assert (sent.claimed_samples == 100).all()
    assert (sent.claimed_epochs == 5).all()
    np.testing.assert_allclose(
        attack("free-ride-stale", rows, others, base, base - 1).updates,
        np.tile(base + 1, (len(rows), 1)),
        atol=1e-5,
    )
    copies = attack("free-ride-copy", rows, others, base).updates
    assert {row.tobytes() for row in copies} <= {row.tobytes() for row in others}
    assert (
        np.abs(attack("free-ride-noise", rows, others, base, scale=0.01).updates - base).max() < 0.1
    )


def test_lazy_and_overstate():
    lazy = behaviours.workers.create("lazy", {"epochs": 2})
    assert (lazy.effort(5), lazy.effort(1)) == (2, 1)
    rows = np.ones((2, 3))
    assert (attack("overstate", rows, rows, rows[0], factor=7).claimed_samples == 700).all()


def data(n=40, shape=(1, 6, 6), classes=4):
    rng = np.random.default_rng(0)
    return DataObservation(
        device=3,
        x=rng.random((n, *shape), dtype=np.float32),
        y=rng.integers(0, classes, n),
        classes=classes,
        rng=np.random.default_rng(1),
    )


def test_label_flip():
    seen = data()
    x, y = behaviours.workers.create("label-flip").poison(seen)
    assert (y == 3 - seen.y).all()
    assert (x == seen.x).all()
    _, y = behaviours.workers.create("label-flip", {"source": 1, "target": 2}).poison(seen)
    assert (y[seen.y == 1] == 2).all()
    assert (y[seen.y != 1] == seen.y[seen.y != 1]).all()
    with pytest.raises(PluginError, match=r"0\.\.3"):
        behaviours.workers.create("label-flip", {"source": 1, "target": 9}).poison(seen)
    with pytest.raises(PluginError, match="differ"):
        behaviours.workers.create("label-flip", {"source": 1, "target": 1})


@pytest.mark.parametrize("shape", [(1, 6, 6), (20,)])
def test_backdoor(shape):
    seen = data(shape=shape)
    x, y = behaviours.workers.create("backdoor", {"target": 2, "fraction": 0.25, "size": 3}).poison(
        seen
    )
    changed = (x != seen.x).reshape(len(x), -1).any(1)
    assert changed.sum() == 10
    assert (y[changed] == 2).all()
    assert (y[~changed] == seen.y[~changed]).all()
    marked = trigger(seen.x, 3)
    assert (x[changed] == marked[changed]).all()
    assert ((marked != seen.x).reshape(len(x), -1).sum(1) <= (9 if len(shape) == 3 else 3)).all()


# --- in a whole round -----------------------------------------------------------------------------


def play(scenario):
    world = World(scenario)
    for _ in world.run():
        pass
    world.close()
    return world, {
        name: table.to_pandas() for name, table in world.kernel.recorder.tables().items()
    }


KEEPING_COMMITMENTS = [b.name for b in behaviours.workers.all() if not b.breaks_commitments]


@pytest.mark.parametrize("name", KEEPING_COMMITMENTS)
def test_every_worker_behaviour_plays_a_round(tiny, name):
    _world, frames = play(
        tiny(
            adversaries__0__count=3,
            adversaries__0__worker=name,
            rounds=2,
            validation__params={"threshold": 1.0},
        )
    )
    assert np.isfinite(frames["rounds"]["loss"]).all()
    in_block = frames["participants"].query("adversary and role == 'worker'")["accepted"].notna()
    assert (~in_block if name in ("forge", "replay") else in_block).all()


@pytest.mark.parametrize("name", behaviours.validators.names())
def test_every_validator_behaviour_plays_a_round(tiny, name):
    play(
        tiny(
            adversaries__0__count=3,
            adversaries__0__worker="honest",
            adversaries__0__validator=name,
            rounds=2,
        )
    )


@pytest.mark.parametrize(("name", "status"), [("forge", "forged"), ("replay", "replayed")])
def test_transactions_that_do_not_hold_are_dropped_and_noted(tiny, name, status):
    _, frames = play(tiny(adversaries__0__count=3, adversaries__0__worker=name, rounds=4))
    votes = frames["votes"]
    assert set(votes[votes["worker_adversary"]]["status"]) == {status}
    assert frames["rounds"][["accepted_adversary", "rejected_adversary"]].sum().sum() == 0


def test_free_riders_save_time_and_are_paid_as_much(tiny):
    """VBFL pays claims: if none is rejected, a free-rider earns as much as an honest worker."""
    open_door = {"validation__params": {"threshold": 1.0}, "training__epochs": 4, "rounds": 1}
    world, frames = play(
        tiny(
            adversaries__0__devices=list(range(8)),
            adversaries__0__worker="free-ride-zero",
            **open_door,
        )
    )
    _, honest = play(tiny(**open_door))
    assert frames["rounds"]["end_s"].iloc[0] < honest["rounds"]["end_s"].iloc[0]
    assert frames["rounds"]["issued"].iloc[0] == honest["rounds"]["issued"].iloc[0]
    bench = world.protocol.game.bench
    untouched = bench.test([bench.engine.initial()], [b"initial"]).accuracy[0]
    assert frames["rounds"]["accuracy"].iloc[0] == untouched, (
        "the mean of untouched models is the untouched model"
    )


def test_overstating_pays(tiny):
    scenario = tiny(
        adversaries__0__count=3,
        adversaries__0__worker="overstate",
        validation__params={"threshold": 1.0},
        rounds=6,
    )
    _, frames = play(scenario)
    workers = frames["participants"].query("role == 'worker' and accepted == True")
    income = workers.groupby("adversary")["income"].mean()
    assert income[True] == 10 * income[False]


def test_label_flippers_learn_the_wrong_thing(tiny):
    flipped = tiny(
        adversaries__0__devices=list(range(8)),
        adversaries__0__worker="label-flip",
        rounds=8,
        training__epochs=4,
    )
    _, wrong = play(flipped)
    _, right = play(tiny(rounds=8, training__epochs=4))
    assert right["rounds"]["accuracy"].iloc[-1] > 0.8
    assert wrong["rounds"]["accuracy"].iloc[-1] < 0.5


def test_colluding_validators_carry_their_own(tiny):
    """Noise so large that honest validators reject it; a majority that colludes accepts it."""
    group = {
        "adversaries__0__worker_params": {"scale": 50.0},
        "roles__params": {"counts": "3,3,1"},
        "rounds": 6,
    }
    _, alone = play(tiny(adversaries__0__count=6, **group))
    _, helped = play(
        tiny(
            adversaries__0__count=6,
            adversaries__0__validator="collude",
            adversaries__0__validator_params={"against_others": True},
            **group,
        )
    )
    assert (
        alone["rounds"]["accepted_adversary"].sum() < helped["rounds"]["accepted_adversary"].sum()
    )
    assert helped["rounds"]["rejected_honest"].sum() > 0


def test_copying_validators_vote_with_the_majority(tiny):
    scenario = tiny(
        adversaries=[
            {"name": "copy", "devices": [0, 1, 2, 3], "validator": "copy-majority"},
            {"name": "yes", "devices": [4, 5, 6, 7], "validator": "always-accept"},
        ],
        rounds=6,
        roles__params={"counts": "2,4,2"},
    )
    _, frames = play(scenario)
    votes = frames["votes"]
    groups = frames["participants"].set_index(["round", "device"])["group"]
    mixed = 0
    for _, cast in votes.groupby(["round", "worker"]):
        kinds = [groups[r, v] for r, v in zip(cast["round"], cast["validator"], strict=True)]
        if "yes" in kinds:
            mixed += "copy" in kinds
            assert cast["vote"].all()
    assert mixed > 0


def test_a_censor_leaves_out_all_but_its_own(tiny):
    everyone = tiny(
        adversaries__0__devices=[0, 1, 2, 3],
        adversaries__0__worker="honest",
        adversaries__0__miner="censor",
        rounds=10,
    )
    _world, frames = play(everyone)
    won = frames["rounds"].set_index("round")["winner"]
    assert won.isin([0, 1, 2, 3]).any()
    for row in (
        frames["participants"].query("role == 'worker' and accepted == accepted").itertuples()
    ):
        if won[row.round] in (0, 1, 2, 3):
            assert row.device in (0, 1, 2, 3)


def test_a_tampered_block_is_refused_where_signatures_are_checked(tiny):
    tamper = {
        "adversaries__0__devices": list(range(8)),
        "adversaries__0__worker": "honest",
        "adversaries__0__miner": "tamper",
    }
    _, careful = play(tiny(**tamper))
    assert set(careful["blocks"]["status"]) == {"orphaned"}
    assert careful["rounds"]["accuracy"].nunique() == 1
    _world, careless = play(tiny(chain__check_signatures=False, **tamper))
    assert "adopted" in set(careless["blocks"]["status"])
    assert careless["rounds"]["accuracy"].nunique() > 1


def test_robust_aggregation_survives_what_the_mean_does_not():
    """Digits, all accepted, 3 of 20 enlarge and mirror their updates: only the median survives."""
    attack = {
        "rounds": 6,
        "validation.params.threshold": 1.0,
        "adversaries.0.worker": "sign-flip",
        "adversaries.0.worker_params": {"factor": 20.0},
    }
    final = {}
    for rule in ("mean", "median", "multi-krum"):
        _, frames = play(load_scenario("digits-quick", {**attack, "aggregation.rule": rule}))
        final[rule] = frames["rounds"]["accuracy"].iloc[-1]
    assert final["mean"] < 0.3
    assert final["median"] > final["mean"] + 0.3
    assert final["multi-krum"] > final["mean"] + 0.3


# --- groups ---------------------------------------------------------------------------------------


def test_sleepers_are_honest_until_they_wake_and_after_they_are_done(tiny):
    noise = {
        "adversaries__0__count": 3,
        "adversaries__0__worker_params": {"scale": 20.0},
        "rounds": 8,
    }
    _, sleeping = play(tiny(adversaries__0__from_round=4, adversaries__0__until_round=6, **noise))
    _, never = play(tiny(**{**noise, "adversaries__0__worker_params": {"scale": 0.0}}))
    votes, calm = (
        f["votes"].groupby("round")["update_accuracy"].apply(list) for f in (sleeping, never)
    )
    assert all(votes[r] == calm[r] for r in (1, 2, 3)), "the same bytes until they wake"
    bad = sleeping["votes"][sleeping["votes"]["worker_adversary"]].groupby("round")["vad"].mean()
    assert bad[bad.index.isin([4, 5, 6])].min() > bad[bad.index.isin([1, 2, 3, 7, 8])].max()


def test_a_sleepers_data_is_clean_while_it_sleeps(tiny):
    world = World(
        tiny(
            adversaries__0__devices=[2],
            adversaries__0__worker="label-flip",
            adversaries__0__from_round=3,
        )
    )
    clean = world.protocol.game.bench.split.train[2]
    for r, expected in ((1, True), (3, False)):
        world.kernel.clock.round = r
        assert (world.protocol.game.bench.samples(2)[: len(clean)] == clean).all() == expected


@pytest.mark.parametrize(("identities", "total"), [("split", 15), ("duplicate", 60), ("own", 60)])
def test_sybils_share_one_devices_samples_and_stake(tiny, identities, total):
    scenario = tiny(
        adversaries__0__devices=[1, 3, 4, 6],
        adversaries__0__worker="honest",
        adversaries__0__validator="collude",
        adversaries__0__identities=identities,
        payout__initial_balance=1_000,
    )
    world = World(scenario)
    held = [world.protocol.game.bench.split.train[d] for d in (1, 3, 4, 6)]
    assert sum(map(len, held)) == total
    assert len(set(np.concatenate(held).tolist())) == (60 if identities == "own" else 15)
    assert [world.kernel.treasury.balance(d) for d in (1, 3, 4, 6)] == [
        1_000 if identities == "own" else 250
    ] * 4
    assert world.kernel.treasury.balance(0) == 1_000
    for _ in world.run():
        pass


def test_utility_is_income_less_cost_plus_the_benefit_of_damage(tiny):
    scenario = tiny(
        adversaries__0__count=2,
        adversaries__0__worker="free-ride-zero",
        adversaries__0__damage_benefit=1_000.0,
        costs__compute_per_s=50.0,
        rounds=4,
    )
    world, frames = play(scenario)
    people = frames["participants"].merge(
        frames["rounds"][["round", "accuracy"]], on="round", suffixes=("", "_global")
    )
    benefit = people["adversary"] * 1_000 * (1 - people["accuracy_global"])
    np.testing.assert_allclose(
        people["utility"], people["income"] - 50 * people["compute_s"] + benefit
    )
    riders = people[people["adversary"] & (people["role"] == "worker")]
    workers = people[~people["adversary"] & (people["role"] == "worker")]
    assert (riders["compute_s"] == 0).all()
    np.testing.assert_allclose(workers["compute_s"], workers["samples"] * 1 / 1_000)
    validators = people[people["role"] == "validator"]
    judged = frames["votes"].groupby(["round", "validator"]).size()
    for row in validators.itertuples():
        own = len(world.protocol.game.bench.split.validation[row.device][1])
        expected = row.samples / 1_000 + judged.get((row.round, row.device), 0) * own / 3_000
        assert row.compute_s == pytest.approx(expected)
