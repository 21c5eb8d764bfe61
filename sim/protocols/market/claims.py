"""Claims: what a contributor asks of the rule after it has acted, oldest datum first."""

from __future__ import annotations

from mechanisms.failures import broken
from mechanisms.markets.base import POT, MarketRule
from mechanisms.vocabulary import Claim, Datum, MarketMemory, Refused
from sim.money.treasury import Treasury
from sim.population.participant import Participant
from sim.protocols.market.books import Books
from sim.protocols.market.open_data import OpenData

REFUND, REPORT, SWEEP = "refund", "report", "sweep"


class Claims:
    """The claims of a market.

    Args:
        treasury: what is paid from.
        rule: that answers.
        data: what can be claimed.
        books: where accepted claims are recorded.
    """

    def __init__(self, treasury: Treasury, rule: MarketRule, data: OpenData, books: Books) -> None:
        self._treasury = treasury
        self._rule, self._data, self._books = rule, data, books

    def claim(
        self, p: Participant, memory: MarketMemory, now_s: float, *, sweeps_only: bool
    ) -> None:
        """Claim all that a contributor can: what anybody may take first, it is the oldest."""
        data = self._data
        if not len(data):
            return
        data.ripen(now_s)
        for slot, datum in list(data.sweepable(p.device, now_s)):
            self._ask(SWEEP, slot, datum, p, memory, now_s)
        if not sweeps_only:
            self._claim_one_by_one(p, memory, now_s)

    def _claim_one_by_one(self, p: Participant, memory: MarketMemory, now_s: float) -> None:
        data, rule = self._data, self._rule
        reports = rule.may_report(memory, p.device)
        slots = data.candidates(p.device, reports=reports)
        for slot in slots:
            self._claim_slot(slot, p, memory, now_s)
        if not reports and slots and rule.may_report(memory, p.device):
            # Its first refund gave it the right to report what comes after that datum.
            for slot in data.candidates(p.device, reports=True):
                if slot > slots[0]:
                    self._claim_slot(slot, p, memory, now_s)

    def _claim_slot(self, slot: int, p: Participant, memory: MarketMemory, now_s: float) -> None:
        datum = self._data.datum(slot)
        if datum is not None:
            kind = REFUND if datum.author == p.device else REPORT
            self._ask(kind, slot, datum, p, memory, now_s)

    def _ask(
        self, kind: str, slot: int, datum: Datum, p: Participant, memory: MarketMemory, now_s: float
    ) -> None:
        """Ask the rule about a claim, and pay what it accepts."""
        agrees = self._data.agrees(slot)
        method = REFUND if kind == REFUND else REPORT
        ask = self._rule.refund if kind == REFUND else self._rule.report
        amount = ask(memory, Claim(p.device, now_s, datum, agrees))
        if isinstance(amount, Refused):
            return
        if type(amount) is not int or not 0 <= amount <= datum.claimable:
            message = f"must give base units in 0..{datum.claimable}, what is left; gave {amount!r}"
            raise broken(self._rule, method, message, f"device {p.device}")
        if amount:
            self._treasury.move(POT, p.account, amount, f"market.{kind}", now_s)
        datum.claimable -= amount
        datum.claims += 1
        datum.claimed_by.add(p.device)
        self._data.claimed(slot, datum, p.device)
        self._books.claim(now_s, p.device, kind, datum, agrees=agrees, amount=amount)
