"""A verifier that is always right; the upper bound for all others."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mechanisms.verifiers.base import Verifier
from mechanisms.vocabulary import VerificationObservation


class Oracle(Verifier):
    """Always right, without cost."""

    name = "oracle"
    summary = "knows which updates are genuine"
    reference = "guide on on-chain coordination, verification (ideal)"

    def verdicts(self, seen: VerificationObservation) -> NDArray[np.bool_]:
        return seen.genuine[None].copy()
