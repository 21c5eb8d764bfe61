"""Closed forms of what stands around a payout rule."""

import pytest

from experiments import load_scenario
from mechanisms import registries as rules
from mechanisms.combined import Combined
from mechanisms.plugin import PluginError
from mechanisms.vocabulary import OpeningObservation
from sim.keys import SettingError
from sim.scenario import scenario_of
from sim.world import World
from tests.conftest import TINY
from tests.mechanisms.test_payouts import block, income, record


def around(rule, *parts, params=None):
    return Combined(
        rules.payouts.create(rule, params or {}),
        [rules.parts.create(name, values) for name, values in parts],
    )


def settle(rule, memory, *blocks):
    """Payments of several blocks, and the memory after them."""
    paid = []
    for i, records in enumerate(blocks):
        settled = rule.settle(block(records, round=i + 1, memory=memory))
        memory = settled.memory
        paid.append(income(settled))
    return paid, memory


def opened(rule, *balances):
    return rule.open(
        OpeningObservation(devices=tuple(range(len(balances))), balances=tuple(balances))
    )


def test_slashing_around_any_rule_takes_a_fraction_and_shuts_out_below_the_minimum():
    rule = around(
        "flat",
        ("slashing", {"stake": 100, "fraction": 0.5, "minimum": 30}),
        params={"worker": 7, "validator": 0},
    )
    memory = opened(rule, 100, 100, 99).memory
    assert rule.members(memory) == {0, 1}
    paid, memory = settle(
        rule, memory, [record(0), record(1, accepted=False)], [record(1, accepted=False)]
    )
    assert paid == [{0: 7, 1: 7, 99: 100, "burn": 50}, {1: 7, 99: 100, "burn": 25}]
    assert rule.members(memory) == {0}
    assert rule.locked(memory) == {0: 100, 1: 25}
    assert income(rule.close(memory)) == {0: 100, 1: 25}


def test_votes_against_the_outcome_cost_their_voters():
    rule = around(
        "none", ("slashing", {"stake": 100, "vote_fraction": 0.1, "destination": "reporters"})
    )
    memory = opened(rule, *[100] * 6).memory
    paid, memory = settle(rule, memory, [record(0, accepted=True, positive=(3, 4), negative=(5,))])
    assert paid == [{3: 5, 4: 5}]
    assert rule.locked(memory)[5] == 90


def test_reputation_scales_rewards_and_forgets_slowly():
    rule = around(
        "flat",
        ("reputation", {"initial": 0.5, "rate": 0.5}),
        params={"worker": 100, "validator": 0, "miner": 0},
    )
    paid, memory = settle(
        rule,
        opened(rule, 0, 0).memory,
        [record(0), record(1, accepted=False)],
        [record(0), record(1)],
        [record(0), record(1)],
    )
    assert paid == [{0: 50, 1: 50}, {0: 75, 1: 25}, {0: 87, 1: 62}]
    assert memory["parts"][0]["0"] == pytest.approx(0.9375)


def test_attestations_count_with_the_reputation_of_those_who_attest():
    """A ring without standing cannot lift its members; with standing it can."""
    rule = around("none", ("reputation", {"source": "attestations", "initial": 0.5, "rate": 1.0}))
    memory = {"rule": {}, "parts": [{"0": 0.5, "1": 0.9, "2": 0.1, "3": 0.1}]}
    _, after = settle(rule, memory, [record(0, accepted=True, positive=(2, 3), negative=(1,))])
    assert after["parts"][0]["0"] == pytest.approx(0.2 / 1.1)


def test_what_reputation_withholds_of_a_pool_goes_to_the_treasury():
    rule = around(
        "equal-share", ("reputation", {"initial": 0.5}), params={"pool": 100, "deadline": 1}
    )
    paid, _ = settle(rule, opened(rule, 0, 0).memory, [record(0), record(1)])
    assert paid == [{0: 25, 1: 25, "treasury": 50}]


def test_identities_cost_and_their_stakes_come_back():
    rule = around("none", ("identity-cost", {"cost": 10, "stake": 30}))
    opening = opened(rule, 40, 39, 100)
    assert rule.members(opening.memory) == {0, 2}
    assert income(opening) == {"escrow:identities": 60, "burn": 20}
    assert income(rule.close(opening.memory)) == {0: 30, 2: 30}


def test_deposits_are_taken_in_order_and_each_sees_what_is_left():
    rule = around(
        "slashed-vbfl",
        ("identity-cost", {"cost": 10, "stake": 0}),
        ("fees", {"deposit": 5}),
        params={"stake": 90},
    )
    opening = opened(rule, 105, 104)
    assert rule.members(opening.memory) == {0}
    assert income(opening) == {"escrow:fees": 10, "burn": 20, "escrow:slashable": 90}


def test_fees_are_charged_per_call_until_the_deposit_is_gone():
    rule = around(
        "none", ("fees", {"deposit": 5, "update": 2, "vote": 1, "block": 1, "destination": "burn"})
    )
    memory = opened(rule, *[5] * 4).memory
    memory["parts"][0]["99"] = 5
    paid, memory = settle(
        rule, memory, [record(0, positive=(2,), negative=(3,))], [record(0)], [record(0)]
    )
    assert paid == [{"burn": 2 + 1 + 1 + 1}, {"burn": 3}, {"burn": 2}], (
        "the last update finds one unit"
    )
    assert rule.members(memory) == {1, 2, 3, 99}
    assert income(rule.close(memory)) == {1: 5, 2: 4, 3: 4, 99: 2}


GIVEN = [
    {"devices": [0, 1], "until_round": 2},
    {"devices": [2], "revoked_round": 2},
    {"devices": [3], "task": "another"},
    {"devices": [4], "scope": "training", "from_round": 3},
]


def test_consent_has_a_task_a_scope_an_expiry_and_can_be_revoked():
    rule = around(
        "flat", ("consent", {"ledger": GIVEN}), params={"worker": 10, "validator": 0, "miner": 0}
    )
    everyone = [record(w) for w in range(6)]
    paid, memory = settle(rule, opened(rule, *[0] * 6).memory, everyone, everyone, everyone)
    assert paid == [{0: 10, 1: 10, 2: 10}, {0: 10, 1: 10}, {4: 10}]
    assert memory["parts"][0]["violations"] == {"0": 1, "1": 1, "2": 2, "3": 3, "4": 2, "5": 3}


def test_training_without_consent_costs_stake():
    parts = (
        ("consent", {"ledger": [{"devices": [0]}]}),
        ("slashing", {"stake": 100, "fraction": 1.0}),
    )
    rule = around("data-size", *parts, params={"pot": 60})
    memory = opened(rule, 100, 100).memory
    assert settle(rule, memory, [record(0), record(1)])[0] == [{0: 60, "burn": 100}]


def test_a_table_inside_a_parameter_is_checked_and_the_key_named():
    for bad, key in (
        ([{"devices": [0], "until": 3}], "ledger.0.until"),
        ([{"devices": [0]}, {"devices": ["a"]}], "ledger.1.devices"),
        ([{"devices": [0], "until_round": 2, "from_round": 5}], "ledger.0"),
        ([7], "ledger.0"),
        (7, "ledger"),
    ):
        with pytest.raises(PluginError) as caught:
            rules.parts.create("consent", {"ledger": bad})
        assert caught.value.key == key


def test_a_scenario_puts_parts_around_any_rule():
    parts = [
        {"part": "identity-cost", "params": {"cost": 3}},
        {"part": "consent", "params": {"ledger": [{"devices": list(range(5))}]}},
        {"part": "slashing", "params": {"stake": 50}},
    ]
    scenario = load_scenario("vbfl", {**TINY, "payout.parts": parts, "payout.initial_balance": 100})
    assert scenario_of(scenario.to_dict()) == scenario
    assert scenario.to_dict()["payout"]["parts"][2]["params"]["fraction"] == 0.25
    world = World(scenario)
    for _ in world.run():
        pass
    reasons = {e.reason for e in world.kernel.treasury.ledger.journal}
    assert {"identity.cost", "stake.join", "stake.back", "slash", "reward.worker"} <= reasons
    assert (
        world.kernel.treasury.ledger.balance("escrow:slashable", world.kernel.treasury.asset) == 0
    )
    rewarded = {
        e.credit for e in world.kernel.treasury.ledger.journal if e.reason == "reward.worker"
    }
    assert rewarded <= {f"device:{d}" for d in range(5)}
    world.close()


def test_bad_parts_are_refused_in_one_line():
    for params, key in (
        ({"stake": -1}, "payout.parts.0.params.stake"),
        ({"stake": 5, "minimum": 6}, "payout.parts.0.params"),
    ):
        with pytest.raises((SettingError, ValueError), match=key):
            load_scenario(
                "vbfl", {**TINY, "payout.parts": [{"part": "slashing", "params": params}]}
            )
