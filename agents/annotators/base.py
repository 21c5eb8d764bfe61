"""An annotator's behaviour decides how many tasks it takes, and what it answers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

from mechanisms.plugin import Plugin
from mechanisms.vocabulary import AnnotatorObservation, Labels, TakingObservation


class Annotator(Plugin, ABC):
    """Base of annotators. `knows` names what is shown beside its own: see the observation."""

    sees = AnnotatorObservation
    knows: ClassVar[frozenset[str]] = frozenset()

    @property
    def skill(self) -> float | None:
        """Probability that it perceives the label of an easy item; None: as it was drawn."""
        return None

    def take(self, seen: TakingObservation) -> int:
        """Return how many tasks it takes now, 0 to `seen.most`."""
        return seen.most

    @abstractmethod
    def answer(self, seen: AnnotatorObservation) -> Labels | None:
        """Return its answers to all questions of a task, `int64[q]`; None: it sends nothing."""

    def effort(self, seen: AnnotatorObservation) -> float:
        """Return the share of the questions that it looks at, each of which costs it effort."""
        return 1.0 if "signals" in self.knows else 0.0
