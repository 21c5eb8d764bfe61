"""A contributor's behaviour decides what it does each time that it acts, and when that is."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from mechanisms.plugin import Plugin
from mechanisms.vocabulary import (
    Act,
    ContributorObservation,
    ProviderObservation,
    TimingObservation,
)


class Contributor(Plugin, ABC):
    """Base of contributors. `knows` names what is shown beside its own: see the observation."""

    sees = ContributorObservation
    knows: ClassVar[frozenset[str]] = frozenset()
    claims: ClassVar[bool] = True
    """Whether it claims all that it can after it has acted."""
    times: ClassVar[bool] = False
    """Whether it decides itself when to act next, by `next_s`; its habits do otherwise."""

    @abstractmethod
    def act(self, seen: ContributorObservation) -> Act:
        """Return what it does now: offer a datum, ask the model, or nothing."""

    def next_s(self, seen: TimingObservation) -> float:
        """Return when it acts next, in seconds, later than `seen.time_s`."""
        return seen.time_s + seen.wait_s

    def test_set(self, seen: ProviderObservation) -> NDArray[np.int64] | None:
        """Return the test samples, by number, that it commits to as provider; None: all."""
        return None

    def revealed(self, seen: ProviderObservation) -> NDArray[np.int64] | None:
        """Return the test samples that it reveals as provider; None: those it committed to."""
        return None
