"""Habits: when contributors act, and what they are ready to pay; drawn from their own streams."""

from __future__ import annotations

import numpy as np

from mechanisms.vocabulary import TOKEN
from sim.kernel import Kernel
from sim.population.groups import Membership
from sim.population.participant import Participant
from sim.protocols.market.settings import ContributorGroup, HabitSettings, MarketScenario

AT_ONCE = 32
"""Numbers that are drawn together, for speed."""


class Habits:
    """The habits of all contributors.

    Every contributor has streams of its own, new ones in each round: they need no checkpoint.
    """

    def __init__(self, kernel: Kernel, scenario: MarketScenario) -> None:
        self._streams, self._clock = kernel.streams, kernel.clock
        self._whole = scenario.market.as_published
        self._of = [_habits(group, scenario) for group in kernel.population.groups]
        self._rngs: dict[tuple[str, int], np.random.Generator] = {}
        self._drawn: dict[tuple[str, int], list[float]] = {}

    def begin_round(self) -> None:
        """Begin new streams."""
        self._rngs.clear()
        self._drawn.clear()

    def rng(self, purpose: str, p: Participant) -> np.random.Generator:
        """Return a contributor's stream for a purpose in the present round."""
        key = (purpose, p.device)
        found = self._rngs.get(key)
        if found is None:
            found = self._streams.rng(f"market {purpose}", p.device, self._clock.round)
            self._rngs[key] = found
        return found

    def wait_s(self, p: Participant) -> float:
        """Draw how long a contributor waits until it acts again, in seconds."""
        habits = self._of[p.device]
        return self._draw("wait", p, habits.wait_s, habits.wait_sd_s)

    def budget(self, p: Participant) -> int:
        """Draw what a contributor is ready to pay for a datum, in base units."""
        habits = self._of[p.device]
        return int(self._draw("offer", p, habits.offer, habits.offer_sd) * TOKEN)

    def _draw(self, purpose: str, p: Participant, mean: float, sd: float) -> float:
        """Draw a normal number above 0; as published a whole one, cut off and not rounded."""
        while True:
            value = mean + sd * self._standard_normal(purpose, p)
            if self._whole:
                value = float(int(value))
            if value > 0:
                return value

    def _standard_normal(self, purpose: str, p: Participant) -> float:
        """Return the next standard normal number of a stream; they are drawn many at once."""
        key = (purpose, p.device)
        drawn = self._drawn.get(key)
        if not drawn:
            drawn = self.rng(purpose, p).standard_normal(AT_ONCE).tolist()
            drawn.reverse()
            self._drawn[key] = drawn
        return drawn.pop()


def _habits(membership: Membership, scenario: MarketScenario) -> HabitSettings:
    """Return the habits of a group, or everybody's."""
    settings = membership.settings
    return settings.habits if isinstance(settings, ContributorGroup) else scenario.habits
