"""Acceptance of updates that are not worse than the global model."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mechanisms.plugin import param
from mechanisms.validators.base import ROUNDING, ValidationRule
from mechanisms.vocabulary import ValidationObservation


class Improvement(ValidationRule):
    """Accepts when A(update) >= A(global model) + margin, on the validator's own samples."""

    name = "improvement"
    summary = "accepts updates that improve the global model by a margin"
    reference = "DecentralML grant: reward only if the update improves the test partition"
    observes = frozenset({"global"})

    @dataclass(frozen=True)
    class Params:
        margin: float = param(
            0.0,
            help="accuracy that an update must gain; negative: may lose",
            unit="accuracy",
            ge=-1,
            le=1,
        )

    params: Params

    def verdicts(self, seen: ValidationObservation) -> NDArray[np.bool_]:
        return seen.update_accuracies >= seen.global_accuracy + self.params.margin - ROUNDING
