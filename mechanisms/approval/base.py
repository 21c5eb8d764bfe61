"""An approval rule decides whether a version replaces the master model, and what that pays."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from statistics import median

from mechanisms.plugin import Plugin, param
from mechanisms.split import part
from mechanisms.vocabulary import ApprovalObservation


class ApprovalRule(Plugin, ABC):
    """Base of approval rules. `observes` names what is shown: see `ApprovalObservation`.

    The reward is a share of the engineers' pool, as it is now or as it was at the start, and never
    more than what is left of it. The share is fixed, or the median of those that approving members
    propose.
    """

    sees = ApprovalObservation
    observes: frozenset[str] = frozenset()

    @dataclass(frozen=True)
    class Params:
        share: float = param(
            0.1, help="part of the pool for an approved version (fixed)", ge=0, le=1
        )
        decided: str = param(
            "fixed",
            help="whether the share is fixed, or the median of what approving members propose",
            choices=("fixed", "median"),
        )
        of: str = param(
            "remaining",
            help="whether the share is of what is left of the pool, or of what it was at the start",
            choices=("remaining", "initial"),
        )

    params: Params

    @abstractmethod
    def approves(self, seen: ApprovalObservation) -> bool:
        """Return whether the version replaces the master model."""

    def reward(self, seen: ApprovalObservation) -> int:
        """Return the base units for the author of an approved version, floored."""
        p = self.params
        share = p.share
        if p.decided == "median":
            share = median(seen.votes[member].share for member in seen.approving)
        pool = seen.remaining if p.of == "remaining" else seen.initial
        return min(seen.remaining, part(pool, float(share)))
