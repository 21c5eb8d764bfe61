"""The desk: what a contributor sees, what it decides, and what becomes of that."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mechanisms import answers
from mechanisms.failures import broken
from mechanisms.markets.base import POT
from mechanisms.vocabulary import (
    ABSENT,
    Act,
    Datum,
    Offer,
    Offering,
    Query,
    Refused,
    TimingObservation,
)
from sim.population.participant import Participant
from sim.protocols.market.balances import Balances
from sim.protocols.market.habits import Habits
from sim.protocols.market.market import DataMarket
from sim.protocols.market.trader import Trader

_offering = partial(tuple.__new__, Offering)
"""Makes an offering of a tuple, in a third of the time that `Offering` takes."""


class Desk:
    """Where contributors offer data and ask for predictions.

    Args:
        market: whose rule, model, data and money these are.
        habits: of the contributors.
        balances: that the rule keeps.
    """

    def __init__(self, market: DataMarket, habits: Habits, balances: Balances) -> None:
        self._market, self._habits, self._balances = market, habits, balances
        kernel, samples = market.kernel, market.samples
        self._treasury, self._clock = kernel.treasury, kernel.clock
        self._books, self._add = market.books, market.rule.add
        self._coalitions = kernel.population.coalitions
        self._classes = samples.classes
        self._truth: list[int] = samples.y.tolist()
        self._x, self._y = samples.x_train[: market.last], samples.y[: market.last].view()
        self._y.setflags(write=False)

    # --- what is seen ---------------------------------------------------------------------------

    def decide(self, trader: Trader, balance: int) -> Act:
        """Return what a contributor decides to do, checked."""
        market, row, budget = self._market, self._market.next_row, next(trader.budgets)
        values = {
            **(trader.own or self._own(trader)),
            "time_s": market.now_s,
            "balance": balance,
            "budget": budget if budget < balance else balance,
            "row": row,
            "label": self._truth[row],
            "accuracy": market.accuracy,
        }
        if trader.knows:
            values |= self._known(trader.who, trader.knows)
        act = trader.act(trader.filled(values))
        if type(act) is Offer and act.row is None:
            # Nearly all acts are like this: a comparison for each of their values.
            label, amount, _ = act
            if type(label) is type(amount) is int and 0 <= label < self._classes and amount >= 0:
                return act
        problem = self._problem(act)
        if problem:
            raise broken(trader.behaviour, "act", problem, f"device {trader.device}")
        return act

    def _own(self, trader: Trader) -> dict[str, Any]:
        """Return the fields of its observations that stay the same in a slice of time."""
        trader.own = {
            "device": trader.device,
            "round": self._clock.round,
            "classes": self._classes,
            "rng": self._habits.rng("act", trader.who),
            "coalition": self._coalitions[trader.device],
        }
        return trader.own

    def _known(self, p: Participant, names: Collection[str]) -> dict[str, Any]:
        """Return the fields of an observation that a behaviour declares; no others are computed."""
        market, fields = self._market, dict[str, Any]()
        if "price" in names:
            fields["price"] = self._price(p)
        if "prediction" in names:
            fields["prediction"] = market.model.predict_one(market.next_row)
        if "records" in names:
            fields["records"] = tuple(market.open)
        if "standing" in names:
            fields["standing"] = market.standing()
        if "samples" in names:
            fields |= {"samples": self._x, "labels": self._y, "predict": self._predict}
        return fields

    def _price(self, p: Participant) -> int:
        rule, market = self._market.rule, self._market
        return answers.whole(rule, "price", rule.price(market.memory, market.now_s, p.device))

    def _predict(self, rows: Sequence[int]) -> NDArray[np.int64]:
        return self._market.model.predict(np.asarray(rows, dtype=np.int64))

    def _problem(self, act: Act) -> str:
        """Return why nobody could do what a behaviour decided; "" when it can be done."""
        if act is None:
            return ""
        if not isinstance(act, Offer | Query):
            return f"must return an Offer, a Query or None, returned {act!r}"
        if type(act.amount) is not int or act.amount < 0:
            return f"pays {act.amount!r}: must be base units, an integer of at least 0"
        if isinstance(act, Query):
            return ""
        classes, rows = self._classes, self._market.last
        if not 0 <= act.label < classes:
            return f"gives the label {act.label!r}: labels are 0..{classes - 1}"
        if act.row is not None and not 0 <= act.row < rows:
            return f"offers row {act.row!r}: rows are 0..{rows - 1}"
        return ""

    def next_s(self, trader: Trader) -> float:
        """Return when a contributor acts next."""
        market, now_s, wait_s = self._market, self._market.now_s, next(trader.waits)
        if not trader.times:
            return now_s + wait_s
        p, behaviour = trader.who, trader.behaviour
        seen = TimingObservation(
            device=p.device,
            time_s=now_s,
            wait_s=wait_s,
            balance=self._treasury.held(p.account),
            row=None if market.ran_out else market.next_row,
            refundable_s=market.open.next_young_s(p.device, own=True),
            reportable_s=market.open.next_young_s(p.device, own=False),
            sweepable_s=min(market.open.next_sweep_s(p.device), self._balances.open_to_all_s()),
            rng=trader.timing,
            price=self._price(p) if "price" in behaviour.knows else ABSENT,
        )
        shown = seen.shown_to(behaviour.knows)
        next_s = answers.seconds(behaviour, "next_s", behaviour.next_s(shown))
        if next_s <= now_s:
            message = f"must give a time after {now_s}, gave {next_s}"
            raise broken(behaviour, "next_s", message, f"device {p.device}")
        return next_s

    # --- what is done ---------------------------------------------------------------------------

    def do(self, p: Participant, act: Act, balance: int) -> int | None:
        """Do what was decided; return what it cost in base units, None when it was refused."""
        if act is None:
            return 0
        offer = act.amount if act.amount < balance else balance
        if isinstance(act, Query):
            return self._sell(p, offer)
        market, device, (label, _, row) = self._market, p.device, act
        if row is None:
            row = market.next_row
        now_s, index = market.now_s, len(market.data)
        cost = self._add(market.memory, _offering((device, now_s, offer, row, label)))
        if type(cost) is not int or not 0 <= cost <= offer:
            cost = answers.money(market.rule, "add", cost, offer)
            if isinstance(cost, Refused):
                market.kernel.incidents.note(now_s, device, None, cost.reason)
                self._books.offer(now_s, device, row, label, offer, None, None)
                return None
        if cost:
            self._treasury.move(p.account, POT, cost, "market.deposit", now_s)
        self._books.offer(now_s, device, row, label, offer, index, cost)
        market.accept(Datum(index, row, label, device, now_s, cost, cost))
        return cost

    def _sell(self, p: Participant, offer: int) -> int:
        """Sell a prediction; return what was paid."""
        market = self._market
        now_s = market.now_s
        staked: Counter[int] = Counter()
        for datum in market.open:
            staked[datum.author] += datum.claimable
        shares = market.fees.shares(offer, market.standing(), staked)
        checked = answers.counts(market.fees, "shares", shares, len(market.people))
        # Its own share stays with the caller: it pays the others.
        others = {device: amount for device, amount in checked.items() if device != p.device}
        if sum(checked.values()) > offer:
            message = f"divides {sum(checked.values())} base units, {offer} were paid"
            raise broken(market.fees, "shares", message)
        for device, amount in others.items():
            account = market.people[device].account
            self._treasury.move(p.account, account, amount, "market.prediction", now_s)
        paid = sum(others.values())
        market.books.query(now_s, p.device, offer, paid)
        return paid
