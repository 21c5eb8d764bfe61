"""A worker behaviour decides what to submit."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from mechanisms.plugin import Plugin
from mechanisms.vocabulary import DataObservation, Submission, WorkerObservation


class WorkerBehaviour(Plugin, ABC):
    """Base of worker behaviours. `knows` names what is shown beside the devices' own work.

    See `WorkerObservation`.
    """

    sees = WorkerObservation
    knows: ClassVar[frozenset[str]] = frozenset()
    breaks_commitments: ClassVar[bool] = False
    """Whether all that it does is to break a commitment: it cannot act where nobody commits."""

    def effort(self, epochs: int) -> int:
        """Return the epochs, 0 or more, to train when the protocol asks for `epochs`."""
        return epochs

    def poison(self, seen: DataObservation) -> tuple[NDArray[np.float32], NDArray[np.int64]] | None:
        """Return samples and labels to train on instead of the device's own; None: its own."""
        return None

    def probe(self, seen: DataObservation) -> tuple[NDArray[np.float32], NDArray[np.int64]] | None:
        """Return test samples, changed as in the attack, with the labels that the attack aims at.

        `seen` holds the test samples. None: the attack has no such aim. The accuracy on these
        samples is recorded as the attack's success and has no other effect.
        """
        return None

    @abstractmethod
    def submit(self, seen: WorkerObservation) -> Submission:
        """Return one submission for all k devices of this group; must not write into `seen`."""
