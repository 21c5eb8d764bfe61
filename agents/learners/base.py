"""A learner chooses a strategy for the coming round from past payoffs."""

from __future__ import annotations

from abc import ABC, abstractmethod

from mechanisms.plugin import Plugin
from mechanisms.vocabulary import ChoiceObservation


class Learner(Plugin, ABC):
    """Base of learners. A payoff is the utility of a round in which a device was a worker."""

    @abstractmethod
    def choose(self, seen: ChoiceObservation) -> int:
        """Return an index into `seen.strategies`."""


def means(plays: tuple[tuple[int, float], ...], strategies: int) -> list[float | None]:
    """Return the mean payoff of each strategy, None for one that was never played."""
    total = [0.0] * strategies
    count = [0] * strategies
    for choice, payoff in plays:
        total[choice] += payoff
        count[choice] += 1
    return [t / c if c else None for t, c in zip(total, count, strict=True)]
