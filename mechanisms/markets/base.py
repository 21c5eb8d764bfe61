"""A market rule decides what adding a datum costs, and who may claim what of it."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence

from mechanisms.plugin import Plugin
from mechanisms.vocabulary import Claim, Datum, Memory, Offering, Payment, Refused, Stage

POT = "escrow:market"
"""The account that holds every deposit."""


class MarketRule(Plugin, ABC):
    """Base of market rules.

    A rule has no state of its own: `memory` holds all that it remembers, as plain JSON values, and
    its methods change it in place; a refusal changes nothing. Deposits go from their author to
    `POT`, claims are paid from there: the market moves the money and keeps the public records.
    """

    learns: bool = True
    """Whether the model learns an accepted datum at once."""
    claimable: bool = True
    """Whether data can be claimed one by one, by `refund` and `report`."""

    @property
    def refund_wait_s(self) -> float:
        """Seconds after which the author may claim its deposit back, and others may report."""
        return math.inf

    @property
    def sweep_wait_s(self) -> float:
        """Seconds after which anybody may take what is left of a deposit."""
        return math.inf

    @property
    def inclusive(self) -> bool:
        """Whether a claim is in time when the datum's age equals the wait, or only beyond it."""
        return False

    def accounts(self) -> Mapping[str, int]:
        """Return the accounts needed beside those of devices, with their initial base units."""
        return {POT: 0}

    def start(self, time_s: float) -> Memory:
        """Return the memory before the first datum."""
        return {}

    def price(self, memory: Memory, time_s: float) -> int:
        """Return the base units that a datum costs which is added now."""
        return 0

    @abstractmethod
    def add(self, memory: Memory, seen: Offering) -> int | Refused:
        """Return the base units that an offered datum costs, at most `seen.offer`."""

    def refund(self, memory: Memory, seen: Claim) -> int | Refused:
        """Return what the author is paid of its datum, at most what is claimable."""
        return Refused("this rule gives nothing back")

    def report(self, memory: Memory, seen: Claim) -> int | Refused:
        """Return what a reporter is paid of a datum, at most what is claimable."""
        return Refused("this rule takes no reports")

    def may_report(self, memory: Memory, device: int) -> bool:
        """Return whether a report of this device could be accepted before the sweep."""
        return True

    def standing(self, memory: Memory) -> Mapping[int, int]:
        """Return by device what the rule counts of it: data found good, points, reputation."""
        return {}

    # --- rules with stages --------------------------------------------------------------------

    def deadline_s(self, memory: Memory) -> float:
        """Return when `advance` is to be called next; inf: when no more data are offered."""
        return math.inf

    def advance(self, memory: Memory, seen: Stage) -> Sequence[Payment]:
        """Go on to the next stage, and return what is paid: from accounts of the rule."""
        return ()

    def locked(self, memory: Memory, data: Sequence[Datum]) -> Mapping[int, int]:
        """Return the base units by device that the rule holds and may give back.

        `data` are the records that are still open.
        """
        held: dict[int, int] = {}
        for datum in data:
            held[datum.author] = held.get(datum.author, 0) + datum.claimable
        return held
