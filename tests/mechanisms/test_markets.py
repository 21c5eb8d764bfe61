"""Market rules against the closed forms of their papers: who pays, who gets back, who takes."""

import json
import math
from collections import Counter
from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest

import fedstake
from experiments.conformance.markets import MarketConformance, Step, played
from fedstake import CheckError
from mechanisms.failures import PluginFailedError
from mechanisms.markets.base import BOUNTY, POT
from mechanisms.plugin import PluginError
from mechanisms.registries import markets, prediction_fees
from mechanisms.vocabulary import (
    PROVIDER,
    TOKEN,
    Claim,
    Datum,
    Offering,
    Refused,
    Stage,
    Withdrawal,
)

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
        datum.claimed(device, amount)
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
"""ETH by seconds since the last datum, w = 10^15 wei = 0.001 ETH."""


@pytest.mark.parametrize(("seconds", "tokens"), SIMULATED.items())
def test_a1_deposit_of_the_simulation(seconds, tokens):
    market = Market()
    start_s = market.add(0, 7.0).time_s
    assert market.rule.price(market.memory, start_s + seconds, 1) == tokens * TOKEN
    assert market.add(1, start_s + seconds, tokens * TOKEN).deposit == tokens * TOKEN


@pytest.mark.parametrize(("seconds", "ether"), ON_CHAIN.items())
def test_a1_deposit_on_chain(seconds, ether):
    market = Market(**CHAIN, cost_weight=0.001)
    start_s = market.add(0, 7.0).time_s
    deposit = market.rule.price(market.memory, start_s + seconds, 1)
    assert deposit == 3600 * 10**6 // max(1, math.isqrt(seconds))
    assert deposit / TOKEN == pytest.approx(ether, abs=5e-4)
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


# --- the original in floats, and the reward phase in fractions --------------------------------


class Original:
    """Deposit, refund, take as the published simulator computes it: in tokens, with floats."""

    def __init__(self):
        self.last_s, self.good, self.claimable, self.claimed = 0.0, Counter(), [], []

    def add(self, time_s, value):
        elapsed = int(time_s - self.last_s)
        if elapsed <= 0:
            return None
        cost = max(1, int(60 / int(math.sqrt(elapsed))))
        if cost > value:
            return None
        self.last_s = time_s
        self.claimable.append(float(cost))
        self.claimed.append(set())
        return cost

    def claim(self, kind, i, device, author, age_s, deposit, agrees):
        left, amount = self.claimable[i], None
        early = age_s <= DAY or device in self.claimed[i]
        if kind == "refund" and not early and agrees:
            amount = left
            self.good[device] += 1
        elif kind == "report" and age_s >= 9 * DAY:
            amount = left
        elif kind == "report" and device != author and not (early or agrees) and self.good[device]:
            amount = min(left, deposit * self.good[device] / self.good.total())
        if left <= 0 or amount is None:
            return None
        self.claimable[i] -= amount
        self.claimed[i].add(device)
        return amount


@pytest.mark.parametrize("seed", range(5))
def test_amounts_are_those_of_the_original_in_floats(seed):
    """To 1e-6 tokens, and the same calls are refused; leftovers below that are dust of floats."""
    rng = np.random.default_rng(seed)
    market, original, time_s = Market(), Original(), 0.0
    accepted = Counter()
    for _ in range(800):
        time_s += int(rng.choice([0, 1, 5, 60, 900, 20_000]))
        device = int(rng.integers(4))
        if rng.random() < 0.4:
            offer = int(rng.integers(1, 70))
            datum, cost = market.add(device, time_s, offer * TOKEN), original.add(time_s, offer)
            assert (datum.deposit == cost * TOKEN) if cost else isinstance(datum, Refused)
            continue
        old = [d for d in market.data if d.claimable > 100]
        if not old:
            continue
        datum = old[int(rng.integers(len(old)))]
        kind = "refund" if device == datum.author and rng.random() < 0.7 else "report"
        agrees = bool(rng.random() < 0.5)
        age_s, deposit = time_s - datum.time_s, datum.deposit / TOKEN
        expected = original.claim(kind, datum.index, device, datum.author, age_s, deposit, agrees)
        found = market.claim(kind, datum, device, time_s, agrees)
        assert isinstance(found, Refused) == (expected is None)
        if expected is not None:
            accepted[kind] += 1
            assert found / TOKEN == pytest.approx(expected, abs=1e-6)
    assert min(accepted["refund"], accepted["report"]) > 20


def rewards(accuracy, authors, bounty, *, grouped, again):
    """What each contributor has in the end, in exact fractions of tokens: from the definition."""
    present = list(range(len(authors)))
    owner = dict(enumerate(authors)) if grouped else {i: i for i in present}
    held = Counter()
    for i in present:
        held[owner[i]] += Fraction(1)
    first, rounds = [accuracy(present[:n]) for n in range(len(present) + 1)], Fraction(bounty)
    while present and rounds:
        if again:
            values = [accuracy(present[:n]) for n in range(len(present) + 1)]
        else:
            values = [first[0], *(first[1 + i] for i in present)]
        scores = Counter()
        for i, (before, after) in zip(present, pairwise(values), strict=True):
            scores[owner[i]] += after - before
        k = min([rounds, *(held[h] / -s for h, s in scores.items() if s < 0)])
        rounds -= k
        for holder, score in scores.items():
            held[holder] += k * score
        counts = Counter(owner[i] for i in present)
        present = [i for i in present if held[owner[i]] >= counts[owner[i]]]
    paid = Counter()
    for holder, balance in held.items():
        paid[holder if grouped else authors[holder]] += balance
    return paid


@pytest.mark.parametrize("grouped", [True, False])
@pytest.mark.parametrize("again", [True, False])
def test_rewards_are_those_of_the_definition(grouped, again):
    """Random accuracies that depend on all data learned before, in hundredths."""
    rng = np.random.default_rng(11)
    for _ in range(20):
        n = int(rng.integers(1, 9))
        authors = rng.integers(0, 3, n).tolist()
        hundredths = {}

        def accuracy(data, known=hundredths):
            return known.setdefault(tuple(data), Fraction(int(rng.integers(30, 100)), 100))

        def accuracies(data, accuracy=accuracy):
            return np.array([float(accuracy(data[:k])) for k in range(len(data) + 1)])

        market = Market(
            "prediction-market", bounty=50, group_contributions=grouped, reset_model=again
        )
        for author in authors:
            market.add(author, 1.0)
        held = ended(market, accuracies)
        expected = rewards(accuracy, authors, 50, grouped=grouped, again=again)
        for device in set(authors):
            assert held[device] / TOKEN == pytest.approx(float(expected[device]), abs=1e-6)


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


# --- A5, A10: the prediction market ---------------------------------------------------------------

GOOD, BAD = 0, 1
DELTAS = {0: 0.2, 1: -0.1, 2: 0.1}
"""What each datum does to the accuracy: two good ones, and a bad one between them."""


def learner(deltas, start=0.5):
    """A model whose accuracy each datum moves by its own step; counts how often it is measured."""

    def accuracies(data):
        steps = [start, *(deltas[index] for index in data)]
        return np.cumsum(steps)

    return accuracies


def rewarded(market, accuracies, *, time_s=100.0, tested=True, provider=PROVIDER):
    """End a market; return what each account and device holds then."""
    stage = Stage(
        time_s=time_s,
        data=market.data,
        ended=True,
        accuracies=accuracies,
        tested=tested,
        provider=provider,
    )
    stakes = sum(datum.deposit for datum in market.data)
    held = Counter({POT: stakes, BOUNTY: market.rule.bounty()})
    for payment in market.rule.advance(market.memory, stage):
        assert payment.payer in (POT, BOUNTY)
        held[payment.payer] -= payment.amount
        held[payment.payee] += payment.amount
        assert held[payment.payer] >= 0, "no payment needs a later one"
    json.dumps(market.memory)
    return held


def withdrawn(market, held, device, owner, time_s=100.0):
    """Let a device collect the balance of an owner; return the amount, or the refusal."""
    amount = market.rule.collect(market.memory, Withdrawal(device, time_s, owner))
    if not isinstance(amount, Refused):
        held[POT] -= amount
        held[device] += amount
        assert held[POT] >= 0, "more is paid than there is"
    return amount


def ended(market, accuracies, **options):
    """End a market; return what everybody holds who has collected its own balance."""
    held = rewarded(market, accuracies, **options)
    for device in sorted({datum.author for datum in market.data}):
        withdrawn(market, held, device, device)
    return held


def three_data(**params):
    """What good, bad and whoever keeps the bounty have after the three data, all in tokens."""
    market = Market("prediction-market", bounty=100, **params)
    for device in (GOOD, BAD, GOOD):
        market.add(device, 1.0)
    held = ended(market, learner(DELTAS))
    assert sum(held.values()) == 103 * TOKEN
    assert held[BOUNTY] == 0
    stakes = Counter({GOOD: 2, BAD: 1})
    after = [100 - stakes[device] + held[device] / TOKEN for device in (GOOD, BAD)]
    kept = POT if params.get("as_shipped") else PROVIDER
    assert held[POT] + held[PROVIDER] == held[kept]
    return [*after, held[kept] / TOKEN]


@pytest.mark.parametrize(
    ("grouped", "reset", "expected"),
    [
        (True, False, [121, 99, 80]),
        (False, False, [118, 100, 82]),
        (False, True, [109, 100, 91]),
        (True, True, [112, 99, 89]),
    ],
)
def test_a5_the_accounts_of_the_published_simulator(grouped, reset, expected):
    found = three_data(as_shipped=True, group_contributions=grouped, reset_model=reset)
    assert found == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("grouped", [True, False])
@pytest.mark.parametrize(("reset", "expected"), [(False, [121, 99, 80]), (True, [130, 99, 71])])
def test_a5_the_repaired_accounts(grouped, reset, expected):
    found = three_data(group_contributions=grouped, reset_model=reset)
    assert found == pytest.approx(expected, abs=1e-9)


def test_the_bounty_that_nobody_earns_returns_to_the_provider():
    market = Market("prediction-market", bounty=100)
    market.add(GOOD, 1.0)
    held = ended(market, learner({0: 0.25}), provider=7)
    assert held == {POT: 0, BOUNTY: 0, 7: 75 * TOKEN, GOOD: 26 * TOKEN}
    assert rewarded(market, learner({0: 0.25}), provider=7)[7] == 0, "only once"


def test_a_market_without_data_returns_the_bounty():
    market = Market("prediction-market", bounty=5)
    assert ended(market, learner({})) == {POT: 0, BOUNTY: 0, PROVIDER: 5 * TOKEN}


def test_a_test_set_that_is_not_the_committed_one_returns_stakes_and_bounty():
    market = Market("prediction-market", bounty=100, allow_greater_deposit=True)
    market.add(GOOD, 1.0, 3 * TOKEN)
    market.add(BAD, 2.0, TOKEN)
    held = ended(market, learner(DELTAS), tested=False, provider=7)
    assert held == {POT: 0, BOUNTY: 0, GOOD: 3 * TOKEN, BAD: TOKEN, 7: 100 * TOKEN}


def bet(**params):
    """A market in which GOOD has won 20 tokens beside its stake, and BAD has lost its own."""
    market = Market("prediction-market", bounty=100, reset_model=False, **params)
    market.add(GOOD, 1.0)
    market.add(BAD, 2.0)
    return market, rewarded(market, learner({0: 0.2, 1: -0.1}))


def test_a_balance_is_collected_once_and_by_its_owner():
    market, held = bet()
    assert market.rule.balances(market.memory) == {GOOD: 21 * TOKEN}
    assert market.rule.locked(market.memory, []) == {GOOD: 21 * TOKEN}
    assert held[POT] == 21 * TOKEN
    assert "only its owner" in withdrawn(market, held, BAD, GOOD).reason
    assert withdrawn(market, held, GOOD, GOOD) == 21 * TOKEN
    for device, owner in [(GOOD, GOOD), (BAD, GOOD), (BAD, BAD), (GOOD, 5)]:
        assert "nothing is kept" in withdrawn(market, held, device, owner, 9 * DAY).reason
    assert held[POT] == 0
    assert market.rule.balances(market.memory) == {}


def test_after_seven_days_anybody_collects_what_is_left():
    """The published wait, from the rewards on."""
    market, held = bet()
    assert market.rule.open_to_all_s(market.memory) == 100.0 + 7 * DAY
    early, late = 100.0 + 7 * DAY - 1, 100.0 + 7 * DAY
    assert "only its owner" in withdrawn(market, held, BAD, GOOD, early).reason
    assert withdrawn(market, held, BAD, GOOD, late) == 21 * TOKEN
    assert "nothing is kept" in withdrawn(market, held, GOOD, GOOD, late).reason


def test_before_the_rewards_nothing_is_kept_for_anybody():
    market = Market("prediction-market")
    market.add(GOOD, 1.0)
    assert market.rule.balances(market.memory) == {}
    assert market.rule.open_to_all_s(market.memory) == math.inf
    assert "nothing is kept" in withdrawn(market, Counter(), GOOD, GOOD).reason
    assert market.rule.locked(market.memory, market.data) == {GOOD: TOKEN}


def test_as_shipped_the_same_balance_is_taken_again_and_again():
    """The published report deletes the balance of who reports; only an empty pot ends it."""
    market, held = bet(as_shipped=True)
    assert market.rule.balances(market.memory) == {GOOD: 19 * TOKEN, BAD: TOKEN}
    taken = [withdrawn(market, held, BAD, GOOD, 8 * DAY) for _ in range(6)]
    assert taken[:5] == [19 * TOKEN] * 5
    assert taken[5] == (102 - 95) * TOKEN
    assert "nothing is kept" in withdrawn(market, held, BAD, GOOD, 8 * DAY).reason
    assert held[POT] == 0
    assert market.rule.locked(market.memory, []) == {}


@pytest.mark.parametrize("as_shipped", [False, True])
def test_a10_no_more_than_the_bounty_is_paid(as_shipped):
    """Random steps: what contributors gain together is at most the bounty, in every variant."""
    rng = np.random.default_rng(5)
    for grouped in (True, False):
        for reset in (True, False):
            for trial in range(20):
                market = Market(
                    "prediction-market",
                    bounty=1 + 40 * (trial % 4),
                    as_shipped=as_shipped,
                    group_contributions=grouped,
                    reset_model=reset,
                    allow_greater_deposit=bool(trial % 2),
                )
                for i in range(12):
                    market.add(int(rng.integers(3)), float(i), int(rng.integers(1, 5)) * TOKEN)
                stakes = sum(datum.deposit for datum in market.data)
                deltas = rng.normal(0.0, 0.05, 12).round(3)
                held = ended(market, learner(deltas, start=0.5))
                assert min(held.values()) >= 0
                assert sum(held.values()) == stakes + market.rule.bounty()
                assert sum(held[device] for device in range(3)) <= stakes + market.rule.bounty()
                assert market.memory["unspent"] == held[POT] + held[PROVIDER]
                assert held[POT if not as_shipped else PROVIDER] == 0


def test_as_shipped_drops_caused_by_the_bad_are_charged_to_the_honest():
    """1.13, point 6: accuracies of the first pass stay, so an honest datum after a bad one pays.

    Bad lowers the accuracy by 0.2, then the honest datum raises it by 0.1. Alone it would earn; the
    cached accuracies say that it lowers the first one by 0.1.
    """
    outcomes = {}
    for name, params in {
        "as shipped": {"as_shipped": True, "reset_model": False},
        "repaired": {"reset_model": True},
    }.items():
        market = Market("prediction-market", bounty=100, group_contributions=True, **params)
        market.add(BAD, 1.0)
        market.add(GOOD, 2.0)
        held = ended(market, learner({0: -0.2, 1: 0.1}))
        outcomes[name] = (held[GOOD] / TOKEN, held[BAD] / TOKEN, market.memory["evaluations"])
    # The first five rounds cost Bad its stake and earn Good 0.5 tokens.
    assert outcomes["as shipped"] == (0.0, 0.0, 3)
    assert outcomes["repaired"] == (1 + 0.5 + 95 * 0.1, 0.0, 3 + 2)


@pytest.mark.parametrize(("as_shipped", "third"), [(False, 12), (True, 16)])
def test_whoever_loses_its_stake_first_ends_a_stretch_of_rounds(as_shipped, third):
    """As shipped it is the lowest score, and another holder plays on with less than nothing."""
    market = Market(
        "prediction-market",
        bounty=100,
        reset_model=False,
        group_contributions=True,
        allow_greater_deposit=True,
        as_shipped=as_shipped,
    )
    for device, tokens in enumerate((10, 1, 1)):
        market.add(device, 1.0, tokens * TOKEN)
    held = ended(market, learner({0: -0.2, 1: -0.1, 2: 0.3}))
    # Repaired: after 10 rounds device 1 has nothing and leaves, after 40 more device 0.
    assert held[2] == third * TOKEN
    assert held[POT] + held[PROVIDER] == (112 - third) * TOKEN
    assert held[0] == held[1] == 0


def test_participation_ends_by_time_or_by_number():
    market = Market("prediction-market", min_length_s=50.0, min_contributions=2)
    rule, memory = market.rule, market.memory
    assert rule.price(memory, 0.0, 1) == TOKEN
    assert "one token" in market.add(0, 1.0, TOKEN - 1).reason
    market.add(0, 1.0)
    assert rule.deadline_s(memory) == 50.0
    early = Stage(time_s=20.0, data=market.data, ended=False, accuracies=learner({0: 0.1}))
    assert rule.advance(memory, early) == ()
    market.add(1, 30.0)
    assert rule.deadline_s(memory) == 30.0
    assert rule.locked(memory, market.data) == {0: TOKEN, 1: TOKEN}
    assert not rule.closed(memory)
    due = Stage(time_s=30.0, data=market.data, ended=False, accuracies=learner({0: 0.1, 1: 0.0}))
    assert rule.advance(memory, due)
    assert rule.deadline_s(memory) == math.inf
    assert rule.closed(memory)
    assert rule.locked(memory, market.data) == rule.balances(memory)
    assert "has ended" in market.add(2, 31.0).reason
    assert Market("prediction-market").rule.deadline_s(market.rule.start(0.0)) == math.inf


def test_pieces_of_a_test_set_cover_it_and_none_is_empty():
    rule = markets.create("prediction-market", {"pieces": 3})
    assert rule.test_pieces(10) == [(0, 3), (3, 6), (6, 10)]
    assert rule.test_pieces(3) == [(0, 1), (1, 2), (2, 3)]
    with pytest.raises(PluginError, match="at most 2, the test samples") as refused:
        rule.test_pieces(2)
    assert refused.value.key == "pieces"
    assert markets.create("free").test_pieces(10) == ()


@pytest.mark.parametrize(
    ("params", "key"),
    [
        ({"bounty": 0}, "bounty"),
        ({"bounty": 10**9 + 1}, "bounty"),
        ({"pieces": 1}, "pieces"),
        ({"collect_wait_s": -1.0}, "collect_wait_s"),
    ],
)
def test_prediction_markets_that_cannot_be_are_refused_in_one_line(params, key):
    with pytest.raises(PluginError) as refused:
        markets.create("prediction-market", params)
    assert refused.value.key == key
    assert "\n" not in str(refused.value)


# --- A6: points -----------------------------------------------------------------------------------


def test_a6_a_report_consumes_the_claim_and_pays_nothing():
    market = Market("points")
    mine, bad = market.add(0, 1.0, 0), market.add(1, 2.0, 0)
    assert mine.deposit == 0
    assert market.report(bad, 0, 3.0) == 0
    assert market.rule.settled(bad)
    assert "was claimed" in market.refund(bad, 4.0).reason
    assert "was claimed" in market.report(bad, 2, 4.0).reason
    assert market.rule.standing(market.memory) == {}, "no points for the reporter"
    assert not market.rule.settled(mine)
    assert market.refund(mine, 4.0) == 0
    assert market.rule.standing(market.memory) == {0: 1}


@pytest.mark.parametrize(
    ("device", "time_s", "agrees", "words"),
    [(0, 9.0, False, "own"), (1, 9.0, True, "predicts"), (1, 5.5, False, "young")],
)
def test_reports_that_points_refuse(device, time_s, agrees, words):
    market = Market("points", refund_wait_s=5.0)
    datum = market.add(0, 1.0)
    assert words in market.report(datum, device, time_s, agrees).reason
    assert "young" in market.refund(datum, 5.5).reason
    assert "does not predict" in market.refund(datum, 6.0, agrees=False).reason
    assert market.refund(datum, 6.0) == 0


def test_scores_are_parts_of_all_points_and_badges_are_for_points():
    market = Market("points", silver=2, gold=3)
    for device, count in ((0, 3), (1, 2), (2, 1)):
        market.verify(device, count)
    assert market.rule.scores(market.memory) == pytest.approx({0: 50, 1: 100 / 3, 2: 100 / 6})
    assert market.rule.badges(market.memory) == {0: "gold", 1: "silver", 2: "bronze"}
    assert Market("points").rule.scores({"points": {}}) == {}
    with pytest.raises(PluginError, match="above bronze = 1 and below gold = 3"):
        markets.create("points", {"silver": 3, "gold": 3})


def test_a_market_that_is_free_takes_every_datum_and_no_claims():
    market = Market("free")
    datum = market.add(0, 1.0, 0)
    assert datum.deposit == 0
    assert "gives nothing back" in market.refund(datum, 2.0).reason
    assert "takes no reports" in market.report(datum, 1, 2.0).reason


# --- A8: prediction fees --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rule", "shares"),
    [
        ("verified", {0: 5, 1: 2, 2: 1, 3: 0}),
        ("equal", {0: 3, 1: 3, 2: 3}),
        ("stake-weighted", {1: 1, 2: 8}),
        ("free", {}),
    ],
)
def test_a8_fees_are_rounded_down_and_the_rest_stays_with_the_caller(rule, shares):
    """10 base units among 4, 2 and 1 verified data: floor(10 n / 7) to each."""
    fees = prediction_fees.create(rule)
    standing, staked = {0: 4, 1: 2, 2: 1, 3: 0}, {1: 100, 2: 500}
    assert fees.shares(10, standing, staked) == shares
    assert sum(shares.values()) <= 10
    assert fees.shares(10, {}, {}) == {}, "nobody is there to be paid"


# --- the suite ------------------------------------------------------------------------------------

Published = markets.get("deposit-refund-take")
Betting = markets.get("prediction-market")


class Generous(Published):
    """Pays the whole deposit, whatever is left of it."""

    def report(self, memory, seen):
        amount = super().report(memory, seen)
        return amount if isinstance(amount, Refused) else seen.datum.deposit + 1


class Resentful(Published):
    """Remembers refusals."""

    def refund(self, memory, seen):
        amount = super().refund(memory, seen)
        if isinstance(amount, Refused):
            memory["goods"] += 1
        return amount


class Cheap(Published):
    """Accepts less than its price."""

    def add(self, memory, seen):
        return min(seen.offer, 5)


class Hasty(Published):
    """Gives deposits back at any time."""

    def refund(self, memory, seen):
        return seen.datum.claimable or Refused("nothing is left")


class Forgetful(Published):
    """Has keys that JSON changes."""

    def start(self, time_s):
        return super().start(time_s) | {"notes": {1: 2}}


class Scribbler(Published):
    """Writes into the records of the market."""

    def report(self, memory, seen):
        seen.datum.claimed_by = {seen.device}
        return super().report(memory, seen)


class Float(Published):
    """Pays with floats."""

    def refund(self, memory, seen):
        amount = super().refund(memory, seen)
        return amount if isinstance(amount, Refused) else float(amount)


class Twice(Betting):
    """Pays every time that it is asked."""

    def advance(self, memory, seen):
        memory["ended"] = False
        return super().advance(memory, seen)


class Backwards(Published):
    """Sweeps before refunds."""

    @property
    def sweep_wait_s(self):
        return self.refund_wait_s / 2


class Holed(Betting):
    """Leaves the last sample of the test set out."""

    def test_pieces(self, samples):
        return super().test_pieces(samples)[:-1]


@pytest.fixture(scope="module")
def sequences():
    """Random sequences of calls, always the same."""
    rng = np.random.default_rng(0)
    acts, waits = ("add", "refund", "report"), (1.0, 60.0, 86_400.0, 800_000.0)
    return [
        [
            Step(
                acts[rng.integers(3)],
                waits[rng.integers(4)],
                int(rng.integers(5)),
                int(rng.integers(8)),
                bool(rng.integers(2)),
            )
            for _ in range(30)
        ]
        for _ in range(30)
    ]


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        (Generous, r"report: must return 0 to \d+ base units"),
        (Resentful, "refund refuses, and changes the memory"),
        (Cheap, "accepts 5 base units, the price is"),
        (Hasty, "younger than refund_wait_s"),
        (Forgetful, "the memory must be plain JSON"),
        (Scribbler, "writes into the records"),
        (Float, r"refund: must return .* returned \d+\.0"),
        (Twice, "pays more than it holds"),
    ],
)
def test_random_calls_find_a_rule_that_breaks_its_contract(rule, words, sequences):
    joined = [step for sequence in sequences for step in sequence]
    with pytest.raises((AssertionError, PluginFailedError), match=words):
        played(rule(), joined, reloaded=True)


@pytest.mark.parametrize("rule", [Published, Betting, markets.get("points"), markets.get("free")])
def test_random_calls_find_nothing_in_the_rules_of_the_house(rule, sequences):
    for sequence in sequences:
        assert played(rule(), sequence).log


@pytest.mark.parametrize(
    ("rule", "check", "words"),
    [
        (Backwards, "test_waits_are_ordered", "is after sweep_wait_s"),
        (Holed, "test_the_pieces_of_a_test_set_cover_it", "cover the test set"),
    ],
)
def test_the_suite_finds_waits_and_pieces_that_cannot_be(rule, check, words):
    suite = MarketConformance()
    suite.plugin = rule
    with pytest.raises(AssertionError, match=words):
        getattr(suite, check)()


class Overpaid(prediction_fees.get("equal")):
    """Divides more than was paid."""

    def shares(self, amount, standing, staked):
        return dict.fromkeys(standing, amount)


class FirstOnly(prediction_fees.get("verified")):
    """Depends on the order of devices."""

    def shares(self, amount, standing, staked):
        return {next(iter(standing)): amount} if standing else {}


@pytest.mark.parametrize(
    ("rule", "words"), [(Overpaid, "more is divided"), (FirstOnly, "order of devices")]
)
def test_the_suite_finds_fees_that_break_their_contract(rule, words):
    with pytest.raises(CheckError, match=words):
        fedstake.check(rule)
