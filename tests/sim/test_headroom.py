"""Money beyond a supply is refused before the first round, or told with rule and round."""

import pytest

from experiments.loader import ScenarioError
from mechanisms.failures import PluginFailedError
from mechanisms.payouts.base import PayoutRule
from mechanisms.payouts.flat import Flat
from sim.money.ledger import MAX_AMOUNT
from sim.world import World


def test_pools_of_the_rule_count_with_what_devices_hold(tiny):
    pool = {"payout__mechanism": "equal-share", "payout__params": {"pool": 10**12, "stake": 5}}
    most = (MAX_AMOUNT - 10**12) // 8
    assert World(tiny(**pool, payout__initial_balance=most)).kernel.treasury.balance(0) == most - 5
    with pytest.raises(ScenarioError, match=rf"initial_balance = {most + 1}: at most {most:,} "):
        tiny(**pool, payout__initial_balance=most + 1)


def test_what_a_rule_can_issue_in_all_rounds_is_part_of_a_supply(tiny):
    """Known before for a rule with fixed amounts: 8 devices with at most 7, a miner with 9."""
    pays = {
        "payout__mechanism": "flat",
        "payout__params": {"worker": 7, "validator": 2, "miner": 9},
    }
    room = 3 * (8 * 7 + 9)
    most = (MAX_AMOUNT - room) // 8
    tiny(**pays, payout__initial_balance=most)
    with pytest.raises(ScenarioError, match=r"payout.params = .*can issue 65 base units a round"):
        tiny(**pays, payout__initial_balance=most + 1)
    with pytest.raises(ScenarioError, match="in 3 rounds more than a supply can hold"):
        tiny(payout__mechanism="improvement", payout__initial_balance=MAX_AMOUNT // 8)


@pytest.mark.parametrize("preset", ["vbfl", "fedavg"])
def test_a_rule_that_issues_beyond_the_supply_is_named_with_the_round(tiny, preset, monkeypatch):
    """Where it is not known before how much it will issue, as of most rules."""
    monkeypatch.setattr(Flat, "most_issued", PayoutRule.most_issued)
    changes = {"payout__mechanism": "flat", "payout__params": {"worker": 1}}
    if preset == "vbfl":
        changes["validation__params"] = {"threshold": 1.0}
    world = World(tiny(preset, payout__initial_balance=MAX_AMOUNT // 8, **changes))
    told = r"Flat.settle, round [1-3].*: supply of STAKE would exceed"
    with pytest.raises(PluginFailedError, match=told) as raised:
        list(world.run())
    assert "\n" not in str(raised.value)
    treasury = world.kernel.treasury
    assert treasury.journal().num_rows >= 8
    assert treasury.ledger.issued("STAKE") <= MAX_AMOUNT
