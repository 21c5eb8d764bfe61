"""A verifier says which revealed updates it takes for genuine, and what looking costs."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from mechanisms.plugin import Plugin
from mechanisms.vocabulary import VerificationObservation


class Verifier(Plugin, ABC):
    """`seen.genuine` is what a complete re-execution would find; a verifier sees as much of it as its means allow.

    A genuine update was really trained as asked, on the device's own samples, and claims what was done. Whether those samples
    are good is another question: poisoned data trained by the book is genuine.
    """

    individual: ClassVar[bool] = True
    """Whether it must see single updates, which secure aggregation hides."""

    @property
    def committee(self) -> int:
        """Devices that look at every update and vote on it; 0: nobody votes."""
        return 0

    @property
    def prove_s(self) -> float:
        """Seconds of a worker's computing per update, beside training."""
        return 0.0

    @property
    def verify_s(self) -> float:
        """Seconds of looking per update."""
        return 0.0

    @abstractmethod
    def verdicts(self, seen: VerificationObservation) -> NDArray[np.bool_]:
        """`bool[m, n]`: verdict of each of m = max(1, committee) verifiers on each of n updates."""
