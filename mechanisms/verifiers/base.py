"""A verifier judges which revealed updates are genuine, at a cost in time."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from mechanisms.plugin import Plugin
from mechanisms.vocabulary import VerificationObservation


class Verifier(Plugin, ABC):
    """Base of verifiers. `seen.genuine` is what complete re-execution would find.

    A genuine update was really trained as asked, on the device's own samples, and claims what was
    done. It may still come from bad samples: an update honestly trained on poisoned data is
    genuine.
    """

    individual: ClassVar[bool] = True
    """Whether it must see single updates, which secure aggregation hides."""

    @property
    def committee(self) -> int:
        """Devices that inspect every update and vote on it; 0: nobody votes."""
        return 0

    @property
    def prove_s(self) -> float:
        """Seconds of a worker's computing per update, beside training."""
        return 0.0

    @property
    def verify_s(self) -> float:
        """Seconds of inspection per update."""
        return 0.0

    @abstractmethod
    def verdicts(self, seen: VerificationObservation) -> NDArray[np.bool_]:
        """Return `bool[m, n]`: verdicts of m = max(1, committee) verifiers on n updates."""
