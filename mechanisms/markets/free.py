"""Nobody pays, nobody is paid: the baseline."""

from __future__ import annotations

from mechanisms.markets.base import MarketRule
from mechanisms.vocabulary import MarketMemory, Offering, Refused


class Free(MarketRule):
    """Every datum is accepted and costs nothing."""

    name = "free"
    summary = "every datum is accepted, nobody pays and nobody is paid"
    reference = "the baseline of seed 001: data collected without incentives"
    claimable = False

    def add(self, memory: MarketMemory, seen: Offering) -> int | Refused:
        return 0
