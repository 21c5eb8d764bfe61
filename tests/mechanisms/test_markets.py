"""Market rules against the closed forms of their papers: who pays, who gets back, who takes."""

import json
import math

import pytest

from mechanisms.plugin import PluginError
from mechanisms.registries import markets
from mechanisms.vocabulary import TOKEN, Claim, Datum, Offering, Refused

DAY = 86_400
RICH = 10**18
CHAIN = {"formula": "chain", "refund_wait_s": 15.0, "owner_wait_s": 20.0, "sweep_wait_s": 30.0}


class Market:
    """One rule, its memory, and records kept as a market keeps them."""

    def __init__(self, rule="deposit-refund-take", **params):
        self.rule = markets.create(rule, params)
        self.memory = self.rule.start(0.0)
        self.data = []

    def add(self, device, time_s, offer=RICH, label=1):
        """Add a datum; return its record, or the refusal."""
        cost = self.rule.add(self.memory, Offering(device, time_s, offer, 0, label))
        if isinstance(cost, Refused):
            return cost
        self.data.append(Datum(len(self.data), 0, label, device, time_s, cost, cost))
        return self.data[-1]

    def claim(self, kind, datum, device, time_s, agrees):
        """Claim; return the amount, or the refusal, which must change nothing."""
        before = json.dumps(self.memory)
        method = getattr(self.rule, kind)
        amount = method(self.memory, Claim(device, time_s, datum, agrees))
        if isinstance(amount, Refused):
            assert json.dumps(self.memory) == before
            return amount
        datum.claimable -= amount
        datum.claims += 1
        datum.claimed_by.add(device)
        return amount

    def refund(self, datum, time_s, agrees=True):
        return self.claim("refund", datum, datum.author, time_s, agrees)

    def report(self, datum, device, time_s, agrees=False):
        return self.claim("report", datum, device, time_s, agrees)

    def verify(self, device, count=1):
        """Let a device have so many data of its own refunded, early in the market's life."""
        for i in range(count):
            start_s = self.data[-1].time_s if self.data else 0
            datum = self.add(device, start_s + 10)
            assert self.refund(datum, datum.time_s + 10 * DAY) == datum.deposit, i


# --- A1: deposits ---------------------------------------------------------------------------------

SIMULATED = {
    1: 60, 2: 60, 3: 60, 4: 30, 10: 20, 60: 8, 120: 6, 300: 3, 600: 2, 1200: 1, 3600: 1, 86400: 1,
}  # fmt: skip
"""Tokens by seconds since the last datum, w = 1."""
ON_CHAIN = {
    0: 3.6, 1: 3.6, 2: 3.6, 3: 3.6, 4: 1.8, 10: 1.2, 60: 0.514, 120: 0.36, 300: 0.212, 600: 0.15,
    1200: 0.106, 3600: 0.06, 86400: 0.0123,
}  # fmt: skip
"""ETH by seconds since the last datum, w = 10^15 wei."""


@pytest.mark.parametrize(("seconds", "tokens"), SIMULATED.items())
def test_a1_deposit_of_the_simulation(seconds, tokens):
    market = Market()
    start_s = market.add(0, 7.0).time_s
    assert market.rule.price(market.memory, start_s + seconds, 1) == tokens * TOKEN
    assert market.add(1, start_s + seconds, tokens * TOKEN).deposit == tokens * TOKEN


@pytest.mark.parametrize(("seconds", "ether"), ON_CHAIN.items())
def test_a1_deposit_on_chain(seconds, ether):
    market = Market(**CHAIN, cost_weight=0.001, unit=10**15)
    start_s = market.add(0, 7.0).time_s
    deposit = market.rule.price(market.memory, start_s + seconds, 1)
    assert deposit == 3600 * 10**12 // max(1, math.isqrt(seconds))
    assert deposit / 10**15 == pytest.approx(ether, abs=5e-4)
    assert market.add(1, start_s + seconds, deposit).deposit == deposit


def test_deposit_without_weight():
    """On chain nothing; in the simulation still the least deposit."""
    assert Market(**CHAIN, cost_weight=0.0).add(0, 5.0).deposit == 0
    assert Market(cost_weight=0.0).add(0, 5.0).deposit == TOKEN


def test_an_offer_below_the_price_and_a_second_datum_in_a_second_are_refused():
    market = Market()
    market.add(0, 10.0)
    before = dict(market.memory)
    assert "less than the price" in market.add(1, 14.0, 30 * TOKEN - 1).reason
    assert "same second" in market.add(1, 10.9).reason
    assert market.memory == before
    assert market.add(1, 14.0, 30 * TOKEN).deposit == 30 * TOKEN


def test_the_first_datum_is_priced_from_the_start_of_the_market():
    assert Market().add(0, 4.0).deposit == 30 * TOKEN


# --- A2: shares -----------------------------------------------------------------------------------


@pytest.mark.parametrize("params", [{}, {"formula": "chain"}])
def test_a2_the_only_verified_reporter_takes_all(params):
    market = Market(**params)
    bad = market.add(1, 1.0)
    market.verify(0)
    assert market.report(bad, 0, 2 * DAY) == bad.deposit
    assert bad.claimable == 0
    assert "nothing" in market.report(bad, 0, 3 * DAY).reason


@pytest.mark.parametrize("k", [2, 3, 7])
def test_a2_equal_reporters_take_equal_parts_and_the_last_drains(k):
    market = Market()
    bad = market.add(99, 1.0)
    for device in range(k):
        market.verify(device, count=2)
    taken = [market.report(bad, device, 2 * DAY) for device in range(k)]
    assert taken == [bad.deposit // k] * k
    assert bad.claimable == bad.deposit - sum(taken) < k
    if bad.claimable:  # rounding leaves less than a base unit per reporter, to the sweep
        assert market.report(bad, 5, 9 * DAY + 1.0) == bad.deposit % k


def test_a_part_that_is_larger_than_what_is_left_takes_what_is_left():
    market = Market()
    bad = market.add(9, 1.0)
    market.verify(0)
    market.verify(1)
    assert market.report(bad, 0, 2 * DAY) == bad.deposit // 2
    market.verify(2, count=6)
    assert market.report(bad, 2, 2 * DAY) == bad.deposit // 2 < bad.deposit * 6 // 8


@pytest.mark.parametrize(
    ("device", "agrees", "words"),
    [(0, True, "predicts"), (2, False, "nothing by which"), (1, False, "its own datum")],
)
def test_reports_that_are_refused(device, agrees, words):
    market = Market()
    bad = market.add(1, 1.0)
    market.verify(0)
    market.verify(1)
    assert words in market.report(bad, device, 2 * DAY, agrees).reason


def test_a_reporter_takes_once():
    market = Market()
    bad = market.add(9, 1.0)
    market.verify(0)
    market.verify(1)
    market.report(bad, 0, 2 * DAY)
    assert "second time" in market.report(bad, 0, 3 * DAY).reason


def test_a_refund_is_for_the_author_if_the_model_agrees_and_takes_what_reports_left():
    market = Market()
    datum = market.add(9, 1.0)
    market.verify(0)
    market.verify(1)
    assert "only the author" in market.claim("refund", datum, 0, 2 * DAY, agrees=True).reason
    assert "does not predict" in market.refund(datum, 2 * DAY, agrees=False).reason
    taken = market.report(datum, 0, 2 * DAY)
    assert market.refund(datum, 3 * DAY) == datum.deposit - taken
    assert market.rule.standing(market.memory) == {0: 1, 1: 1, 9: 1}


# --- A3: sweeps -----------------------------------------------------------------------------------


def test_a3_an_author_sweeps_its_own_datum_after_t_a_only():
    market = Market()
    bad = market.add(1, 1.0)
    assert "own datum" in market.report(bad, 1, 1.0 + 9 * DAY - 1).reason
    assert market.report(bad, 1, 1.0 + 9 * DAY) == bad.deposit


@pytest.mark.parametrize("agrees", [True, False])
def test_anybody_sweeps_what_is_left_whatever_the_model_says(agrees):
    market = Market()
    datum = market.add(1, 1.0)
    assert market.report(datum, 5, 1.0 + 9 * DAY, agrees) == datum.deposit


def test_the_owner_sweeps_between_t_o_and_t_a_on_chain():
    market = Market(**CHAIN, owner=3)
    early, datum = market.add(1, 1.0), market.add(1, 2.0)
    assert "nothing by which" in market.report(datum, 3, 21.0).reason
    assert market.report(datum, 3, 22.0) == datum.deposit
    assert "nothing by which" in market.report(early, 4, 22.0).reason
    assert [market.rule.sweeps_after_s(device) for device in (3, 4)] == [20.0, 30.0]


def test_as_shipped_nobody_is_the_owner():
    rule = markets.create("deposit-refund-take", CHAIN)
    assert rule.params.owner == -1
    assert rule.sweeps_after_s(0) == rule.sweeps_after_s(-2) == 30.0


# --- A4: strictness -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("params", "inclusive"),
    [
        ({}, False),
        ({"waits_end": "at"}, True),
        (CHAIN, True),
        ({**CHAIN, "waits_end": "after"}, False),
    ],
)
def test_a4_claims_at_the_very_age_of_the_wait(params, inclusive):
    market = Market(**params)
    wait_s = market.rule.refund_wait_s
    assert market.rule.inclusive == inclusive
    market.verify(0)
    start_s = market.data[-1].time_s
    mine, bad = market.add(0, start_s + 10), market.add(1, start_s + 20)
    refunded = market.refund(mine, mine.time_s + wait_s)
    reported = market.report(bad, 0, bad.time_s + wait_s)
    if inclusive:
        assert (refunded, reported) == (mine.deposit, bad.deposit)
        return
    assert "too young" in refunded.reason
    assert "too young" in reported.reason
    assert market.refund(mine, mine.time_s + wait_s + 0.5) == mine.deposit
    assert market.report(bad, 0, bad.time_s + wait_s + 0.5) == bad.deposit


@pytest.mark.parametrize(
    ("params", "key"),
    [
        ({"sweep_wait_s": 8.0 * DAY}, "sweep_wait_s"),
        ({"owner": 1}, "owner"),
        ({"owner_wait_s": 5.0 * DAY}, "owner_wait_s"),
        ({"formula": "chain", "refund_wait_s": 5.0, "sweep_wait_s": 4.0}, "sweep_wait_s"),
        ({**CHAIN, "owner_wait_s": 14.0}, "owner_wait_s"),
        ({**CHAIN, "owner_wait_s": 31.0}, "owner_wait_s"),
        ({"cost_weight": -1.0}, "cost_weight"),
    ],
)
def test_waits_that_cannot_be_are_refused_in_one_line(params, key):
    with pytest.raises(PluginError) as refused:
        markets.create("deposit-refund-take", params)
    assert refused.value.key == key
    assert "\n" not in str(refused.value)


# --- other weights than the published ones --------------------------------------------------------


def test_equal_shares_do_not_grow_with_further_refunds():
    market = Market(share="equal")
    bad = market.add(9, 1.0)
    market.verify(0, count=5)
    market.verify(1)
    assert [market.report(bad, device, 2 * DAY) for device in (0, 1)] == [bad.deposit // 2] * 2


def test_shares_by_the_deposits_that_are_held():
    market = Market(share="stake")
    bad = market.add(9, 1.0)  # 60 tokens, as the next two
    market.add(0, 2.0)
    market.add(1, 3.0)
    assert market.memory["weights"] == 180 * TOKEN
    assert market.report(bad, 0, 2 * DAY) == 20 * TOKEN
    assert market.memory["weight"] == {"9": 40 * TOKEN, "0": 60 * TOKEN, "1": 60 * TOKEN}
    assert market.report(bad, 1, 2 * DAY) == 60 * TOKEN * 60 // 160
    assert "nothing by which" in market.report(bad, 2, 2 * DAY).reason
    for datum in market.data:
        market.report(datum, 5, 20 * DAY)
    assert market.memory["weights"] == 0


def test_reputation_falls_when_a_report_drains_a_datum():
    market = Market(share="reputation")
    own = market.add(0, 1.0)
    market.verify(0)
    assert market.report(own, 1, 2 * DAY).reason
    market.verify(1, count=30)
    taken = market.report(own, 1, 2 * DAY)
    assert taken == own.deposit * 30 // 31
    market.verify(2)
    assert market.report(own, 2, 2 * DAY) == own.deposit * 1 // 32
    assert market.memory["weight"]["0"] == 1
    market.verify(3, count=40)
    assert market.report(own, 3, 2 * DAY) > 0
    assert own.claimable == 0
    assert market.memory["weight"]["0"] == 0


def test_with_clocks_of_their_own_nobody_prices_another_out():
    """Griefing: adding a datum each second makes it cost 60 tokens for everybody, as published."""
    for clock, price in (("market", 60), ("contributor", 2)):
        market = Market(clock=clock)
        for second in range(1, 600):
            market.add(9, float(second))
        assert market.rule.price(market.memory, 600.0, 0) == price * TOKEN
        assert market.rule.price(market.memory, 600.0, 9) == 60 * TOKEN
        assert market.add(0, 600.0).deposit == price * TOKEN
