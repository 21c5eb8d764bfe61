"""A learner picks a strategy for the coming round from what strategies have paid."""

from __future__ import annotations

from abc import ABC, abstractmethod

from mechanisms.plugin import Plugin
from mechanisms.vocabulary import ChoiceObservation


class Learner(Plugin, ABC):
    """Payoffs are utilities of rounds in which a device was a worker; see `ChoiceObservation`."""

    @abstractmethod
    def choose(self, seen: ChoiceObservation) -> int:
        """Index into `seen.strategies`."""


def means(plays: tuple[tuple[int, float], ...], strategies: int) -> list[float | None]:
    """Mean payoff of each strategy, None where it was never played."""
    total, count = [0.0] * strategies, [0] * strategies
    for choice, payoff in plays:
        total[choice] += payoff
        count[choice] += 1
    return [t / c if c else None for t, c in zip(total, count, strict=True)]
