"""Claims: what a contributor asks of the rule after it has acted, oldest datum first."""

from __future__ import annotations

from functools import partial

from mechanisms import answers
from mechanisms.markets.base import POT, MarketRule
from mechanisms.vocabulary import Claim, MarketMemory, Refused
from sim.money.treasury import Treasury
from sim.population.participant import Participant
from sim.protocols.market.books import Books
from sim.protocols.market.open_data import OpenData, Seat

REFUND, REPORT, SWEEP = "refund", "report", "sweep"

_claim = partial(tuple.__new__, Claim)
"""Makes a claim of a tuple, in a third of the time that `Claim` takes."""


class Claims:
    """The claims of a market.

    Args:
        treasury: what is paid from.
        rule: that answers.
        data: what can be claimed.
        books: where accepted claims are recorded.
        as_published: the authors' contributors sweep their own data a moment later than others'.
    """

    def __init__(
        self,
        treasury: Treasury,
        rule: MarketRule,
        data: OpenData,
        books: Books,
        *,
        as_published: bool,
    ) -> None:
        self._treasury, self._as_published = treasury, as_published
        self._rule, self._data, self._books = rule, data, books

    def claim(
        self, p: Participant, memory: MarketMemory, now_s: float, *, sweeps_only: bool
    ) -> bool:
        """Claim all that a contributor can: what anybody may take first, it is the oldest.

        Return whether the rule accepted a claim.
        """
        data, device, claimed = self._data, p.device, False
        data.update(now_s)
        for seat in data.sweepable(device, now_s, own_later=self._as_published):
            claimed |= self._ask(SWEEP, seat, p, memory, now_s)
        if sweeps_only:
            return claimed
        # Whether it may report matters only where there is something new to report.
        doubts = data.has_doubts(device)
        reports = doubts and self._rule.may_report(memory, device)
        seats = data.due(device, reports=reports)
        if seats:
            shut_out = doubts and not reports
            claimed |= self._claim_one_by_one(seats, p, memory, now_s, shut_out=shut_out)
        return claimed

    def _claim_one_by_one(
        self,
        seats: list[Seat],
        p: Participant,
        memory: MarketMemory,
        now_s: float,
        *,
        shut_out: bool,
    ) -> bool:
        """Claim what is due; `shut_out`: it could not report before, as it may by then."""
        data, device = self._data, p.device
        first, asked = seats[0].datum.index, len(seats)
        refused = [seat for seat in seats if not self._ask("", seat, p, memory, now_s)]
        if shut_out and self._rule.may_report(memory, device):
            # Its first refund gave it the right to report what comes after that datum.
            for seat in data.due(device, reports=True):
                asked += 1
                late = seat.datum.index > first
                if not (late and self._ask("", seat, p, memory, now_s)):
                    refused.append(seat)
        if refused:
            data.keep(device, [seat for seat in refused if seat.open])
        return len(refused) < asked

    def _ask(
        self, kind: str, seat: Seat, p: Participant, memory: MarketMemory, now_s: float
    ) -> bool:
        """Ask the rule about a claim, and pay what it accepts; return whether it did.

        `kind` "": a refund of its author, a report of anybody else.
        """
        datum, rule, device = seat.datum, self._rule, p.device
        kind = kind or (REFUND if datum.author == device else REPORT)
        ask = rule.refund if kind is REFUND else rule.report
        left = datum.claimable
        amount = ask(memory, _claim((device, now_s, datum, seat.agrees)))
        if type(amount) is not int or not 0 <= amount <= left:
            amount = answers.money(rule, METHODS[kind], amount, left)
            if isinstance(amount, Refused):
                return False
        if amount:
            self._treasury.move(POT, p.account, amount, REASONS[kind], now_s)
        datum.claimed(device, amount)
        self._data.claimed(seat)
        self._books.claim(now_s, device, kind, datum, seat.agrees, amount)
        return True


METHODS = {REFUND: REFUND, REPORT: REPORT, SWEEP: REPORT}
"""The method of a rule that answers each kind of claim."""
REASONS = {kind: f"market.{kind}" for kind in (REFUND, REPORT, SWEEP)}
"""What claims are called in the journal."""
