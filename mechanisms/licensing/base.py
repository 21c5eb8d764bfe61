"""A licensing rule decides what an offer for a licence gets, and who is audited and fined."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod

from mechanisms.plugin import Plugin
from mechanisms.vocabulary import LicenceObservation


class LicensingRule(Plugin, ABC):
    """Base of licensing rules."""

    @abstractmethod
    def licenses(self, fee: int, offer: int) -> bool:
        """Return whether an offer gets the licence whose fee is given, both in base units."""

    def audits(self, seen: LicenceObservation) -> bool:
        """Return whether the client is audited whose offer got the licence."""
        return False

    def audit_probability(self) -> float:
        """Return how often `audits` says yes."""
        return 0.0

    def fine(self, fee: int, offer: int) -> int:
        """Return the base units that an audited client owes; 0 for one that paid the fee."""
        return 0

    def cost(self, fee: int, offer: int) -> float:
        """Return the base units that an offer costs on average; inf where it gets no licence."""
        if not self.licenses(fee, offer):
            return math.inf
        return offer + self.audit_probability() * self.fine(fee, offer)
