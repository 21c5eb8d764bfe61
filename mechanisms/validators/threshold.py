"""VBFL's vote: rejects updates clearly worse than one epoch of the validator's own training."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mechanisms.plugin import param
from mechanisms.validators.base import ROUNDING, ValidationRule
from mechanisms.vocabulary import ValidationObservation


class Threshold(ValidationRule):
    """Rejects when vad > threshold with vad = A(baseline) - A(update).

    One baseline epoch against a worker's five on a two-digit shard is biased against honest
    workers; `baseline_epochs = -1` is the matched variant.
    """

    name = "threshold"
    summary = (
        "negative when the update is more than a threshold below the validator's own baseline "
        "(VBFL)"
    )
    reference = "Chen et al., arXiv:2101.03300, 'vad = A^v(L_j^v(1)) - A^v(L_j^w(n))'"
    examples = ({}, {"threshold": 0.0}, {"threshold": 1.0, "baseline_epochs": -1})

    @dataclass(frozen=True)
    class Params:
        threshold: float = param(
            0.08,
            help="largest accepted accuracy deficit; 1 can never reject",
            unit="accuracy",
            ge=0,
            le=1,
        )
        baseline_epochs: int = param(
            1,
            help="local epochs of the validator's own model; -1: as many as workers",
            unit="epochs",
            ge=-1,
            le=10_000,
        )

    params: Params

    @property
    def baseline_epochs(self) -> int:
        return self.params.baseline_epochs

    def verdicts(self, seen: ValidationObservation) -> NDArray[np.bool_]:
        vad = seen.baseline_accuracy - seen.update_accuracies
        return vad <= self.params.threshold + ROUNDING
