"""Suites of the rules of a data market, and of its fees."""

from __future__ import annotations

import copy
import json
import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray

from experiments.conformance.common import Conformance
from experiments.conformance.generated import holds_for
from mechanisms import answers
from mechanisms.markets.base import BOUNTY, POT, MarketRule
from mechanisms.plugin import PluginError
from mechanisms.vocabulary import (
    TOKEN,
    Claim,
    Datum,
    Offering,
    Refused,
    Stage,
    Withdrawal,
)

DEVICES, PROVIDER = 5, 0
HELD = 10**15
"""Base units that each device holds at the start."""
CLAIMS = ("refund", "report", "collect")


class Step(NamedTuple):
    """One call of a random sequence.

    do       "add", "refund", "report", "collect", "advance", or "again": the last claim once more
    wait_s   seconds since the step before
    device   who acts
    number   of the datum that is claimed, counted from the newest, or of the device whose balance
             is collected; 0 offers less than the price
    agrees   whether the model predicts the label; of a stage: whether the test set is the committed
    """

    do: str
    wait_s: float
    device: int
    number: int
    agrees: bool


step = st.builds(
    Step,
    do=st.sampled_from(("add", "refund", "report", "again", "collect", "advance")),
    wait_s=st.sampled_from((1.0, 4.0, 60.0, 15.0, 0.5, 86_400.0, 100_000.0, 700_000.0)),
    device=st.integers(0, DEVICES - 1),
    number=st.integers(0, 7),
    agrees=st.booleans(),
)
sequences = st.lists(step, min_size=10, max_size=40)


class Stall:
    """A market without a protocol: it keeps records and money, and checks each answer.

    Args:
        rule: that is tried.
        reloaded: whether the memory goes through JSON after every call.
    """

    def __init__(self, rule: MarketRule, *, reloaded: bool = False) -> None:
        self.rule, self._reloaded = rule, reloaded
        self.accounts = {POT: 0, BOUNTY: 0, **answers.amounts(rule, "accounts", rule.accounts())}
        self.held: dict[int | str, int] = dict.fromkeys(range(DEVICES), HELD) | self.accounts
        self._move(PROVIDER, BOUNTY, answers.whole(rule, "bounty", rule.bounty()))
        self._total = sum(self.held.values())
        self.time_s = 0.0
        self.memory = rule.start(0.0)
        self.data: list[Datum] = []
        self.log: list[Any] = []
        self._last = Step("advance", 0.0, 0, 0, agrees=True)

    def do(self, step: Step) -> None:
        """Make one call; fail where the rule breaks what its kind promises."""
        if step.do == "again":
            step = self._last._replace(wait_s=0.0)
        elif step.do in CLAIMS:
            self._last = step
        self.time_s += step.wait_s
        if step.do == "add":
            self._add(step)
        elif step.do == "advance":
            self.advance(ended=False, tested=step.agrees)
        elif step.do == "collect":
            self.collect(step.device, step.number % DEVICES)
        elif self.data:
            self._claim(step)
        self._check()

    def _called(self, method: str, *seen: Any, most: int) -> int | Refused:
        """Call a method; a refusal, which is no error, must not change the memory."""
        memory = json.dumps(self.memory)
        answer = getattr(self.rule, method)(self.memory, *seen)
        checked = answers.money(self.rule, method, answer, most)
        if isinstance(checked, Refused):
            assert json.dumps(self.memory) == memory, f"{method} refuses, and changes the memory"
        self.log.append((method, checked))
        return checked

    def _add(self, step: Step) -> None:
        memory = json.dumps(self.memory)
        price = self.rule.price(self.memory, self.time_s, step.device)
        answers.whole(self.rule, "price", price)
        assert json.dumps(self.memory) == memory, "price changes the memory"
        # Now and then a unit less than the price, else the price or twice of it.
        offer = price * (1 + step.number // 4) if step.number else max(0, price - 1)
        offer = min(offer, self.held[step.device])
        label = int(step.agrees)
        seen = Offering(step.device, self.time_s, offer, len(self.data), label)
        closed = self.rule.closed(self.memory)
        cost = self._called("add", seen, most=offer)
        if isinstance(cost, Refused):
            return
        assert not closed, "accepts a datum after it has closed"
        assert cost >= price, f"accepts {cost} base units, the price is {price}"
        self._move(step.device, POT, cost)
        self.data.append(
            Datum(len(self.data), seen.row, label, step.device, self.time_s, cost, cost)
        )

    def _claim(self, step: Step) -> None:
        rule, datum = self.rule, self.data[-1 - step.number % len(self.data)]
        own = step.do == "refund" and step.number < 7
        device = datum.author if own else step.device
        seen = Claim(device, self.time_s, datum, step.agrees)
        barred, record = self._barred(step.do, seen), copy.deepcopy(datum)
        amount = self._called(step.do, seen, most=datum.claimable)
        assert datum == record, f"{step.do} writes into the records of the market"
        if isinstance(amount, Refused):
            return
        assert not barred, f"{step.do} is accepted: {barred}"
        assert rule.claimable, "claims are accepted, and the rule says that there are none"
        self._move(POT, device, amount)
        datum.claimed(device, amount)

    def _barred(self, do: str, seen: Claim) -> str:
        """Return why a claim must be refused; "" where the rule decides."""
        rule, age_s = self.rule, seen.time_s - seen.datum.time_s
        if rule.settled(seen.datum):
            return "the datum is settled"
        if do == "report" and age_s >= rule.sweeps_after_s(seen.device):
            return ""
        if age_s < rule.refund_wait_s or (age_s == rule.refund_wait_s and not rule.inclusive):
            return "the datum is younger than refund_wait_s"
        if do == "report" and not rule.may_report(self.memory, seen.device):
            return "may_report says that it cannot be"
        return ""

    def advance(self, *, ended: bool, tested: bool = True) -> None:
        """Call the next stage when it is due."""
        due_s = answers.moment(self.rule, "deadline_s", self.rule.deadline_s(self.memory))
        if due_s > self.time_s and not ended:
            return
        seen = Stage(
            time_s=self.time_s,
            data=tuple(self.data),
            ended=ended,
            accuracies=self._accuracies,
            tested=tested,
            provider=PROVIDER,
        )
        answer = self.rule.advance(self.memory, seen)
        for p in answers.payments(self.rule, "advance", answer, self.accounts, DEVICES):
            assert p.reason, f"the reason is missing: {p}"
            self._move(p.payer, p.payee, p.amount)
        self.log.append(("advance", tuple(answer)))
        assert type(self.rule.closed(self.memory)) is bool, "closed must return True or False"
        next_s = self.rule.deadline_s(self.memory)
        assert ended or next_s > self.time_s, "after a stage the next one must be later"

    def collect(self, device: int, owner: int) -> None:
        """Let a device collect the balance of an owner."""
        rule = self.rule
        balances = answers.counts(rule, "balances", rule.balances(self.memory), DEVICES)
        opens_s = answers.moment(rule, "open_to_all_s", rule.open_to_all_s(self.memory))
        most = balances.get(owner, 0)
        seen = Withdrawal(device, self.time_s, owner)
        amount = self._called("collect", seen, most=most)
        if isinstance(amount, Refused):
            return
        early = device != owner and self.time_s < opens_s
        assert not early, "a balance is collected by another before open_to_all_s"
        self._move(POT, device, amount)

    def _accuracies(self, data: Sequence[int]) -> NDArray[np.float64]:
        """Return made-up accuracies in which each datum has its part, good or bad."""
        effects = [math.sin(1 + 7 * index + self.data[index].label) / 20 for index in data]
        return np.clip(np.cumsum([0.5, *effects]), 0, 1)

    def _move(self, payer: int | str, payee: int | str, amount: int) -> None:
        self.held[payer] -= amount
        self.held[payee] += amount
        assert self.held[payer] >= 0, f"{payer!r} pays more than it holds"

    def _check(self) -> None:
        """Check what the rule tells, and that no money is lost or made."""
        rule, memory = self.rule, self.memory
        if self._reloaded:
            self.memory = json.loads(json.dumps(memory))
            assert self.memory == memory, "the memory must be plain JSON"
        assert sum(self.held.values()) == self._total, "money is lost or made"
        standing = answers.counts(rule, "standing", rule.standing(memory), DEVICES)
        scores, badges = rule.scores(memory), rule.badges(memory)
        assert scores.keys() <= standing.keys(), "scores are of devices with a standing"
        assert sum(scores.values()) <= 100 + 1e-9, "scores are parts of 100 per cent"
        assert all(isinstance(badge, str) and badge for badge in badges.values())
        left = [datum for datum in self.data if not rule.settled(datum)]
        locked = answers.counts(rule, "locked", rule.locked(memory, left), DEVICES)
        held = sum(self.held[account] for account in self.accounts)
        assert sum(locked.values()) <= held, "more is locked than the accounts hold"


def played(
    rule: MarketRule, sequence: Sequence[Step], *, tested: bool = True, reloaded: bool = False
) -> Stall:
    """Return the market after a sequence of calls and its end, which is told twice."""
    stall = Stall(rule, reloaded=reloaded)
    for step in sequence:
        stall.do(step)
    for _ in range(2):
        stall.advance(ended=True, tested=tested)
        for device in range(DEVICES):
            stall.collect(device, device)
    return stall


class MarketConformance(Conformance):
    """A refusal changes nothing, and no sequence of calls pays more than was put in."""

    @holds_for(examples=25, sequence=sequences, tested=st.booleans())
    def test_no_sequence_of_calls_pays_more_than_was_put_in(self, sequence, tested):
        for rule in self.made():
            first, again = (
                played(rule, sequence, tested=tested, reloaded=reloaded)
                for reloaded in (False, True)
            )
            assert first.log == again.log, "the same calls must give the same, after JSON too"

    def test_waits_are_ordered(self):
        for rule in self.made():
            first, last = rule.refund_wait_s, rule.sweep_wait_s
            assert 0 <= first <= last, f"refund_wait_s = {first} is after sweep_wait_s = {last}"
            assert type(rule.inclusive) is bool, "inclusive must be True or False"
            for device in range(DEVICES):
                own = rule.sweeps_after_s(device)
                assert first <= own <= last, f"device {device} sweeps after {own} s"

    def test_the_pieces_of_a_test_set_cover_it(self):
        for rule in self.made():
            for samples in (1, 10, 97):
                try:
                    pieces = rule.test_pieces(samples)
                except PluginError:
                    continue
                found = [i for start, stop in pieces for i in range(start, stop)]
                assert found in ([], list(range(samples))), (
                    "pieces must cover the test set in order"
                )
                assert all(start < stop for start, stop in pieces), "a piece is empty"


class FeeConformance(Conformance):
    """Fees are whole, never negative, and together at most what was paid."""

    @holds_for(
        amount=st.integers(0, 10**6 * TOKEN),
        standing=st.dictionaries(st.integers(0, DEVICES - 1), st.integers(0, 10**6)),
        staked=st.dictionaries(st.integers(0, DEVICES - 1), st.integers(0, 10**6 * TOKEN)),
    )
    def test_shares_are_whole_and_at_most_what_was_paid(self, amount, standing, staked):
        for rule in self.made():
            found = answers.counts(rule, "shares", rule.shares(amount, standing, staked), DEVICES)
            assert sum(found.values()) <= amount, "more is divided than was paid"
            assert found.keys() <= standing.keys() | staked.keys(), "somebody unknown is paid"
            again = rule.shares(amount, _reversed(standing), _reversed(staked))
            assert again == found, "the order of devices changes the shares"


def _reversed(values: Mapping[int, int]) -> dict[int, int]:
    return dict(reversed(list(values.items())))
