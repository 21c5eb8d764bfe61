"""A worker behaviour decides what to submit."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from mechanisms.plugin import Plugin
from mechanisms.vocabulary import DataObservation, Submission, WorkerObservation


class WorkerBehaviour(Plugin, ABC):
    """`knows` is what the world hands over beside the devices' own work: see `WorkerObservation`."""

    knows: ClassVar[frozenset[str]] = frozenset()

    def effort(self, epochs: int) -> int:
        """Epochs that the device really trains when the protocol asks for `epochs`: 0 and more."""
        return epochs

    def poison(self, seen: DataObservation) -> tuple[NDArray[np.float32], NDArray[np.int64]] | None:
        """Samples and labels to train on instead of the device's own; None to train on those."""
        return None

    def probe(self, seen: DataObservation) -> tuple[NDArray[np.float32], NDArray[np.int64]] | None:
        """Of test samples those, changed as the attack would, that it wants classified as the labels returned; None: no such aim.

        Their accuracy is recorded as the attack's success; nothing else is done with them.
        """
        return None

    @abstractmethod
    def submit(self, seen: WorkerObservation) -> Submission:
        """One submission for all k devices of this group; must not write into `seen`."""
