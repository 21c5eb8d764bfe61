"""A validator behaviour turns the rule's verdicts into votes."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from mechanisms.plugin import Plugin
from mechanisms.vocabulary import VoteObservation


class ValidatorBehaviour(Plugin, ABC):
    """Base of validator behaviours. `knows` names what is shown beside the validator's verdicts."""

    sees = VoteObservation
    knows: ClassVar[frozenset[str]] = frozenset()
    threatens: ClassVar[bool] = False
    """Whether it lets honest workers know that they had better pay its price."""

    @property
    def price(self) -> int:
        """Base units that it asks of a worker in advance for a positive vote; 0: nothing."""
        return 0

    def report(self, seen: VoteObservation, scores: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return `float64[n]`: the cosine of each update to their mean, as the validator reports.

        Asked only if the payout rule observes "reports". `scores` are the true cosines.
        """
        return scores

    @abstractmethod
    def vote(self, seen: VoteObservation) -> NDArray[np.bool_]:
        """Return `bool[n]`: True for a positive vote on each of `seen.workers`."""
