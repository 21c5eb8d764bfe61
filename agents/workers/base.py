"""A worker behaviour decides what to submit."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

from mechanisms.plugin import Plugin
from mechanisms.vocabulary import Submission, WorkerObservation


class WorkerBehaviour(Plugin, ABC):
    """`knows` is what the world hands over beside the devices' own work: {"others"} for the rows of the other workers."""

    knows: ClassVar[frozenset[str]] = frozenset()

    @abstractmethod
    def submit(self, seen: WorkerObservation) -> Submission:
        """One submission for all k devices of this group; must not write into `seen`."""
