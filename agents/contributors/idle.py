"""Contributors that offer nothing: they stay away, snipe, or wait for a share of others' money."""

from __future__ import annotations

from agents.contributors.base import Contributor
from mechanisms.vocabulary import Act, ContributorObservation, TimingObservation

SECOND = 1.0
"""The least time to the next act of those that choose it: chains count whole seconds."""


class Idle(Contributor):
    """Offers nothing. It still claims what is due to it, of data from before it became idle."""

    name = "idle"
    summary = "offers nothing: the alternative to taking part"
    reference = "outside option of a participation game: Tirole 1988, section 2"

    def act(self, seen: ContributorObservation) -> Act:
        return None


class Sniper(Contributor):
    """Offers nothing, and acts as soon as a deposit that is left can be taken by anybody.

    While there is none it looks again after its usual wait.
    """

    name = "sniper"
    summary = "offers nothing and takes every deposit that is left at the sweep deadline, first"
    reference = "0xDeCA10B any_address_claim_wait: after it, all that is left goes to any claimer"
    times = True

    def act(self, seen: ContributorObservation) -> Act:
        return None

    def next_s(self, seen: TimingObservation) -> float:
        """Return when the next deposit can be swept, or a usual wait from now if none ever can."""
        if seen.sweepable_s == float("inf"):
            return seen.time_s + seen.wait_s
        return max(seen.sweepable_s, seen.time_s + SECOND)
