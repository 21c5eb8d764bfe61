"""Habits: when contributors act, and what they are ready to pay; drawn from their own streams."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain

import numpy as np

from mechanisms.vocabulary import TOKEN
from sim.kernel import Kernel
from sim.population.groups import Membership
from sim.population.participant import Participant
from sim.protocols.market.settings import ContributorGroup, HabitSettings, MarketScenario

FIRST, MOST = 64, 512
"""Numbers that are drawn together, for speed: at first, and at most after twice as many each time.
"""


class Habits:
    """The habits of all contributors.

    Every contributor has streams of its own, new ones in each round: they need no checkpoint.
    """

    def __init__(self, kernel: Kernel, scenario: MarketScenario) -> None:
        self._streams, self._clock = kernel.streams, kernel.clock
        self._whole = scenario.market.as_published
        self._of = [_habits(group, scenario) for group in kernel.population.groups]

    def rng(self, purpose: str, p: Participant) -> np.random.Generator:
        """Return a contributor's stream for a purpose in the present round, at its beginning."""
        return self._streams.rng(f"market {purpose}", p.device, self._clock.round)

    def waits(self, p: Participant) -> Iterator[float]:
        """Yield how long a contributor waits until it acts again, in seconds, without end."""
        habits = self._of[p.device]
        return chain.from_iterable(self._drawn("wait", p, habits.wait_s, habits.wait_sd_s))

    def budgets(self, p: Participant) -> Iterator[int]:
        """Yield what a contributor is ready to pay for a datum, in base units, without end."""
        habits = self._of[p.device]
        drawn = self._drawn("offer", p, habits.offer, habits.offer_sd)
        return chain.from_iterable([int(n * TOKEN) for n in tokens] for tokens in drawn)

    def _drawn(self, purpose: str, p: Participant, mean: float, sd: float) -> Iterator[list[float]]:
        """Yield normal numbers above 0; as published whole ones, cut off and not rounded.

        They come in lists, without end. The stream begins when the first of them is asked for.
        """
        rng, count = self.rng(purpose, p), FIRST
        while True:
            values = mean + sd * rng.standard_normal(count)
            if self._whole:
                values = np.trunc(values)
            yield values[values > 0].tolist()
            count = min(2 * count, MOST)


def _habits(membership: Membership, scenario: MarketScenario) -> HabitSettings:
    """Return the habits of a group, or everybody's."""
    settings = membership.settings
    return settings.habits if isinstance(settings, ContributorGroup) else scenario.habits
