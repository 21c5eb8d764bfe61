"""Acceptance without judgement."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mechanisms.validators.base import ValidationRule
from mechanisms.vocabulary import ValidationObservation


class AcceptAll(ValidationRule):
    """Accepts every update.

    The protocol still leaves out malformed ones: numbers that are not finite, or excessive claims.
    """

    name = "accept-all"
    summary = "accepts every update of the right form without looking at it"
    reference = (
        "what is left of validation where single updates are hidden: Bonawitz et al. 2017, "
        "doi:10.1145/3133956.3133982"
    )
    individual = False

    def verdicts(self, seen: ValidationObservation) -> NDArray[np.bool_]:
        return np.ones(len(seen.workers), dtype=np.bool_)
