"""Devices that bribe, extort, learn, come and go."""

import numpy as np
import pytest

from agents import registries as behaviours
from experiments import ScenarioError, load_scenario
from mechanisms.vocabulary import ChoiceObservation
from sim.world import World
from tests.conftest import TINY, tiny_keys

OPEN = {"validation.params": {"threshold": 1.0}}


def played(group=None, preset="vbfl", **changes):
    groups = [group] if isinstance(group, dict) else group or []
    world = World(
        load_scenario(
            preset,
            {
                **tiny_keys(preset),
                "adversaries": groups,
                **{k.replace("__", "."): v for k, v in changes.items()},
            },
        )
    )
    for _ in world.run():
        pass
    world.tables = {
        name: table.to_pandas() for name, table in world.kernel.recorder.tables().items()
    }
    return world


# --- bribes ---------------------------------------------------------------------------------------


def bribes(world):
    return [
        (int(e.debit[7:]), int(e.credit[7:]), e.amount)
        for e in world.kernel.treasury.ledger.journal
        if e.reason == "bribe"
    ]


BRIBERY = [
    {
        "name": "noisy",
        "devices": [0, 1, 2],
        "worker": "gaussian-noise",
        "worker_params": {"scale": 50.0},
        "bribe": 30,
    },
    {
        "name": "venal",
        "devices": [6, 7],
        "validator": "bribable",
        "validator_params": {"price": 20},
    },
]
SEATED = {
    "roles__rule": "fixed",
    "roles__params": {"validators": [6, 7], "miners": [4, 5]},
    "payout__initial_balance": 100,
}


def test_a_bought_vote_is_a_positive_vote_and_money_moves_at_the_price():
    stingy = {key: value for key, value in BRIBERY[0].items() if key != "bribe"}
    bought, honest = played(BRIBERY, **SEATED), played([stingy], **SEATED)
    assert bribes(bought)[:6] == [(w, v, 20) for v in (6, 7) for w in (0, 1, 2)]
    assert not bribes(honest)
    first = bought.tables["votes"].query("round == 1")
    assert first[first.worker_adversary].vote.all()
    assert bought.tables["rounds"].accepted_adversary.iloc[0] == 3
    assert honest.tables["rounds"].accepted_adversary.sum() == 0


def test_bribes_stop_when_what_was_held_at_the_start_is_spent():
    world = played(BRIBERY, **SEATED)
    spent = {d: sum(a for who, _, a in bribes(world) if who == d) for d in (0, 1, 2)}
    assert all(0 < v <= 100 for v in spent.values())
    assert sum(a for *_, a in bribes(world)) == sum(spent.values()), "honest workers do not bribe"


def test_too_low_an_offer_buys_nothing():
    assert not bribes(played([{**BRIBERY[0], "bribe": 19}, BRIBERY[1]], **SEATED))


def test_who_does_not_pay_an_extortionist_is_rejected():
    gang = {
        "name": "gang",
        "devices": [6, 7],
        "validator": "extort",
        "validator_params": {"price": 10},
    }
    refused, conceded = (
        played(gang, **SEATED, **OPEN),
        played(gang, **SEATED, **OPEN, costs__concede=10),
    )
    assert refused.tables["rounds"].accepted_honest.sum() == 0
    assert not bribes(refused)
    assert conceded.tables["rounds"].accepted_honest.iloc[0] == 4
    assert sum(a for *_, a in bribes(conceded)) == 3 * 4 * 2 * 10, (
        "each of four workers pays both in every round"
    )
    gain = conceded.tables["participants"].groupby("group", observed=True).utility.sum()
    assert (
        gain["gang"]
        > refused.tables["participants"].groupby("group", observed=True).utility.sum()["gang"]
    )


def test_bribes_in_a_coordinators_committee():
    sets = {"payout__initial_balance": 5_000_000, "coordinator__verifier": "committee"}
    sets["coordinator__params"] = {"size": 3, "error": 0.0}
    groups = [{**BRIBERY[0], "bribe": 20}, {**BRIBERY[1], "devices": [3, 4, 5, 6, 7]}]
    world = played(groups, "coordinator", payout__mechanism="flat", **sets)
    assert bribes(world)
    assert world.tables["rounds"].accepted_adversary.sum() > 0


# --- identities -----------------------------------------------------------------------------------


def test_churners_are_there_as_often_as_they_want():
    world = played({"name": "churners", "devices": [0, 1], "presence": 0.4}, rounds=60)
    p = world.tables["participants"]
    assert p[p.group == "churners"].online.mean() == pytest.approx(0.4, abs=0.12)
    assert p[p.group == "honest"].online.all()


WHITEWASH = {
    "name": "washers",
    "devices": [0, 1, 2, 3, 4],
    "spares": 3,
    "worker": "gaussian-noise",
    "worker_params": {"scale": 50.0},
}


def washed(world):
    i = world.tables["incidents"]
    return i[i.kind == "whitewashed"][["round", "device", "witness"]].to_numpy().tolist()


@pytest.mark.parametrize("how", ["slashed", "shut out"])
def test_whitewashers_return_under_another_identity(how):
    sets = {"payout__initial_balance": 1_000, "devices": 12, "rounds": 6}
    if how == "slashed":
        sets |= {"payout__mechanism": "slashed-vbfl", "payout__params": {"stake": 100}}
    else:
        sets |= {"blocklist__knock_out_rounds": 1}
    world = played(WHITEWASH, **sets)
    assert [new for *_, new in washed(world)] == [2, 3, 4]
    p = world.tables["participants"]
    for round_, old, new in washed(world):
        assert not p[(p.device == new) & (p["round"] <= round_)].online.any()
        assert not p[(p.device == old) & (p["round"] > round_)].online.any()
        assert p[(p.device == old) & (p["round"] > round_)].role.isna().all()
    start = {
        e.credit: e.amount for e in world.kernel.treasury.ledger.journal if e.reason == "initial"
    }
    assert all(start[f"device:{d}"] == 400 for d in range(5)), (
        "two devices' money among five identities"
    )
    samples = p[p["round"] == 1].set_index("device").samples
    assert samples[2] == samples[0]


# --- learning -------------------------------------------------------------------------------------


def choose(name, params=None, own=(), others=(), index=0, seed=0):
    learner = behaviours.learners.create(name, params or {})
    return learner.choose(
        ChoiceObservation(
            round=1,
            device=0,
            index=index,
            strategies=("a", "b"),
            own=tuple(own),
            peers=tuple(others),
            history=tuple(others),
            rng=np.random.default_rng(seed),
        )
    )


def test_learners_prefer_what_pays():
    good = [(0, 1.0), (1, 5.0)] * 3
    assert choose("bandit", {"epsilon": 0.0}, own=good) == 1
    assert choose("bandit", {"rule": "ucb1"}, own=good) == 1
    assert choose("best-response", {"tremble": 0.0}, own=[(0, 1.0)], others=[(1, 5.0)]) == 1
    assert choose("best-response", {"tremble": 0.0}, own=[(0, 9.0)], others=[(1, 5.0)]) == 0


def test_ucb_returns_to_what_it_has_hardly_tried():
    assert choose("bandit", {"rule": "ucb1"}, own=[(0, 1.0)] * 200 + [(1, 0.9)]) == 1


def test_imitation_is_proportional_to_the_difference():
    peers = [(1, 3.0), (1, 3.0), (1, 0.0), (0, 4.0)]
    copied = np.mean(
        [choose("imitation", own=[(0, 2.0)], others=peers, seed=s) == 1 for s in range(4_000)]
    )
    assert copied == pytest.approx(0.5 * (3 - 2) / 4, abs=0.02)
    assert all(
        choose("imitation", own=[(0, 4.0)], others=[(1, 3.0)], seed=s) == 0 for s in range(20)
    ), "never copies the worse"


RATIONAL = {
    "name": "rational",
    "count": 6,
    "strategies": [{"worker": "honest"}, {"worker": "free-ride-zero"}],
}


@pytest.mark.parametrize("learner", ["bandit", "imitation", "best-response"])
@pytest.mark.parametrize(
    ("mechanism", "dear", "expected"),
    [("flat", 50.0, "free-ride-zero"), ("improvement", 0.0, "honest")],
)
def test_rational_devices_find_what_a_rule_pays_for(learner, mechanism, dear, expected):
    """Flat pay and dear computing teach free-riding; pay for improvement teaches work."""
    world = played(
        {**RATIONAL, "learner": learner},
        payout__mechanism=mechanism,
        costs__compute_per_s=dear * 100,
        rounds=40,
        **OPEN,
        roles__params={"counts": "5,1,2"},
        training__learning_rate=0.01,
    )
    p = world.tables["participants"]
    late = p[(p["round"] > 20) & (p.role == "worker") & (p.group == "rational")]
    assert (late.strategy == expected).mean() > 0.6


def test_choices_and_identities_survive_a_checkpoint():
    groups = [
        {**RATIONAL, "count": 3},
        {**WHITEWASH, "devices": [0, 1, 2, 3]},
        BRIBERY[1] | {"devices": [8, 9]},
    ]
    groups[1] |= {"bribe": 50}
    scenario = load_scenario(
        "vbfl",
        {
            **TINY,
            "devices": 14,
            "rounds": 7,
            "payout.initial_balance": 500,
            "blocklist.knock_out_rounds": 1,
            "adversaries": groups,
        },
    )
    whole = World(scenario)
    list(whole.run())
    assert any(e.reason == "bribe" for e in whole.kernel.treasury.ledger.journal)
    for stop in (1, 3, 5):
        half = World(scenario)
        for _ in range(stop):
            half.step()
        resumed = World(scenario)
        resumed.restore(*half.to_state())
        list(resumed.run())
        for name, table in whole.kernel.recorder.tables().items():
            assert resumed.kernel.recorder.tables()[name].equals(table), name
        assert resumed.kernel.treasury.ledger.journal == whole.kernel.treasury.ledger.journal


# --- what attackers know, and what they reach -----------------------------------------------------


def test_an_attacker_that_knows_rule_and_data_passes_where_a_blind_one_fails():
    def accepted(worker):
        scenario = load_scenario("digits-quick", {"rounds": 8, "adversaries.0.worker": worker})
        world = World(scenario)
        list(world.run())
        r = world.kernel.recorder.tables()["rounds"].to_pandas().iloc[2:]
        return r.accepted_adversary.sum() / (
            r.accepted_adversary.sum() + r.rejected_adversary.sum()
        )

    assert accepted("gaussian-noise") < 0.3
    assert accepted("adaptive-noise") > 0.7


def test_success_of_a_backdoor_is_measured():
    sets = {
        "rounds": 6,
        "data__dataset": "digits",
        "data__params": {},
        "training__epochs": 3,
        "aggregation__rule": "mean",
        **OPEN,
    }
    group = {
        "name": "bad",
        "count": 4,
        "worker": "backdoor",
        "worker_params": {"target": 7, "fraction": 0.5, "size": 3},
    }
    attacked, clean = played(group, **sets), played(None, **sets)
    assert clean.tables["rounds"].attack_success.isna().all()
    rounds = attacked.tables["rounds"]
    assert rounds.attack_success.iloc[-1] > 0.5
    assert rounds.accuracy.iloc[-1] > 0.7, "and nobody who looks at accuracy notices"


def test_a_duplicate_is_refused_and_noted():
    world = played({"name": "bad", "devices": [0, 1], "worker": "duplicate"}, **OPEN)
    honest = played({"name": "bad", "devices": [0, 1], "worker": "honest"}, **OPEN)
    incidents = world.tables["incidents"]
    assert set(incidents.kind) == {"duplicate"}
    assert set(incidents.device) <= {0, 1}
    paid, expected = (w.kernel.treasury.ledger.journal for w in (world, honest))
    assert paid == expected, "one update, one reward"


@pytest.mark.parametrize(
    ("group", "key"),
    [
        (
            {"strategies": [{"worker": "honest"}, {"worker": "label-flip"}]},
            r"strategies\.1\.worker = 'label-flip'",
        ),
        (
            {"strategies": [{"worker": "lazy", "worker_params": {"epochs": -1}}]},
            r"strategies\.0\.worker_params\.epochs = -1",
        ),
        ({"learner": "bandits"}, r"learner = 'bandits'.*bandit"),
        ({"learner_params": {"epsilon": 2.0}}, r"learner_params\.epsilon = 2"),
        ({"spares": 3}, r"spares? "),
        ({"presence": 1.5}, r"presence = 1\.5"),
        ({"bribe": -1}, r"bribe = -1"),
    ],
)
def test_bad_groups_are_refused(group, key):
    with pytest.raises((ScenarioError, ValueError), match=key):
        World(
            load_scenario("vbfl", {**TINY, "adversaries": [{"name": "bad", "count": 3, **group}]})
        )
