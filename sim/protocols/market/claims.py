"""Claims: what a contributor asks of the rule after it has acted, oldest datum first."""

from __future__ import annotations

from mechanisms import answers
from mechanisms.markets.base import POT, MarketRule
from mechanisms.vocabulary import Claim, MarketMemory, Refused
from sim.money.treasury import Treasury
from sim.population.participant import Participant
from sim.protocols.market.books import Books
from sim.protocols.market.open_data import OpenData, Seat

REFUND, REPORT, SWEEP = "refund", "report", "sweep"


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
        data = self._data
        if not len(data):
            return False
        before = self._books.claims
        data.ripen(now_s)
        data.refresh()
        for seat in data.sweepable(p.device, now_s, own_later=self._as_published):
            self._ask(SWEEP, seat, p, memory, now_s)
        if not sweeps_only:
            self._claim_one_by_one(p, memory, now_s)
        return self._books.claims > before

    def _claim_one_by_one(self, p: Participant, memory: MarketMemory, now_s: float) -> None:
        data, rule, device = self._data, self._rule, p.device
        reports = rule.may_report(memory, device)
        seats = data.due(device, reports=reports)
        refused = [seat for seat in seats if not self._claim_seat(seat, p, memory, now_s)]
        if not reports and seats and rule.may_report(memory, device):
            # Its first refund gave it the right to report what comes after that datum.
            first = seats[0].datum.index
            for seat in data.due(device, reports=True):
                late = seat.datum.index > first
                if not (late and self._claim_seat(seat, p, memory, now_s)):
                    refused.append(seat)
        data.keep(device, [seat for seat in refused if seat.open])

    def _claim_seat(self, seat: Seat, p: Participant, memory: MarketMemory, now_s: float) -> bool:
        """Claim a datum as its author or as a reporter; return whether the rule accepted."""
        kind = REFUND if seat.datum.author == p.device else REPORT
        return self._ask(kind, seat, p, memory, now_s)

    def _ask(
        self, kind: str, seat: Seat, p: Participant, memory: MarketMemory, now_s: float
    ) -> bool:
        """Ask the rule about a claim, and pay what it accepts; return whether it did."""
        datum, rule, device = seat.datum, self._rule, p.device
        ask = rule.refund if kind == REFUND else rule.report
        answer = ask(memory, Claim(device, now_s, datum, seat.agrees))
        amount = answers.money(rule, METHODS[kind], answer, datum.claimable)
        if isinstance(amount, Refused):
            return False
        if amount:
            self._treasury.move(POT, p.account, amount, REASONS[kind], now_s)
        datum.claimable -= amount
        datum.claims += 1
        datum.claimed_by.add(device)
        self._data.claimed(seat)
        self._books.claim(now_s, device, kind, datum, agrees=seat.agrees, amount=amount)
        return True


METHODS = {REFUND: REFUND, REPORT: REPORT, SWEEP: REPORT}
"""The method of a rule that answers each kind of claim."""
REASONS = {kind: f"market.{kind}" for kind in (REFUND, REPORT, SWEEP)}
"""What claims are called in the journal."""
