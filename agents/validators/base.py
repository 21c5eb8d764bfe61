"""A validator behaviour turns the rule's verdicts into votes."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from mechanisms.plugin import Plugin
from mechanisms.vocabulary import VoteObservation


class ValidatorBehaviour(Plugin, ABC):
    """`knows` names what is handed over beside the validator's own verdicts."""

    knows: ClassVar[frozenset[str]] = frozenset()
    threatens: ClassVar[bool] = False
    """Whether it lets honest workers know that they had better pay its price."""

    @property
    def price(self) -> int:
        """Base units that it asks of a worker for a positive vote, in advance; 0: it takes nothing."""
        return 0

    def report(self, seen: VoteObservation, scores: NDArray[np.float64]) -> NDArray[np.float64]:
        """`float64[n]`: what it says of the cosines of the updates to their mean, where the payout rule asks for that."""
        return scores

    @abstractmethod
    def vote(self, seen: VoteObservation) -> NDArray[np.bool_]:
        """`bool[n]`, True for a positive vote on each of `seen.workers`."""
