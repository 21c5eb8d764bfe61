"""An engineer's behaviour decides whether it pays for the master model, and what it submits."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from mechanisms.plugin import Plugin
from mechanisms.vocabulary import (
    DataObservation,
    DownloadObservation,
    EngineerObservation,
    FloatMatrix,
)


class Engineer(Plugin, ABC):
    """Base of model engineers. `knows` names what is shown beside its own work.

    See `EngineerObservation`.
    """

    sees = EngineerObservation
    knows: ClassVar[frozenset[str]] = frozenset()

    def downloads(self, seen: DownloadObservation) -> bool:
        """Return whether to pay for the master model; who does not cannot submit a version."""
        return True

    def effort(self, epochs: int) -> int:
        """Return the epochs, 0 or more, to train where `epochs` are usual."""
        return epochs

    def poison(self, seen: DataObservation) -> tuple[NDArray[np.float32], NDArray[np.int64]] | None:
        """Return samples and labels to train on instead of the public ones; None: the public ones.

        It is asked once, before the run.
        """
        return None

    def probe(self, seen: DataObservation) -> tuple[NDArray[np.float32], NDArray[np.int64]] | None:
        """Return test samples, changed as in an attack, with the labels that it aims at; or None.

        `seen` holds the test samples. Accuracy on these is recorded as the attack's success.
        """
        return None

    @abstractmethod
    def submit(self, seen: EngineerObservation) -> FloatMatrix | None:
        """Return the version `float32[P]` to submit; None: nothing."""
