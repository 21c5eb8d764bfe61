"""VBFL's vote: reject an update that is clearly worse than one epoch of the validator's own training."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mechanisms.plugin import param
from mechanisms.validators.base import ValidationRule
from mechanisms.vocabulary import ValidationObservation


@dataclass(frozen=True)
class ThresholdParams:
    """Parameters of the plug-in below."""

    threshold: float = param(0.08, help="largest accepted accuracy deficit; 1 can never reject", unit="accuracy", ge=0, le=1)
    baseline_epochs: int = param(
        1, help="local epochs of the model that the validator compares with", unit="epochs", ge=0, le=10_000
    )


class Threshold(ValidationRule):
    """With vad = A(baseline) - A(update): negative when vad > threshold.

    One baseline epoch against a worker's five on a two-digit shard is biased against honest workers; set
    `baseline_epochs` to the workers' epochs for the matched variant.
    """

    name = "threshold"
    summary = "negative when the update is more than a threshold below the validator's own baseline (VBFL)"
    reference = "Chen et al., arXiv:2101.03300, 'vad = A^v(L_j^v(1)) - A^v(L_j^w(n))'"
    Params = ThresholdParams

    # Accuracies are ratios of counts: keeps 0.68 - 0.60 from exceeding 0.08 by rounding.
    _ROUNDING = 1e-12

    @property
    def baseline_epochs(self) -> int:
        return self.params.baseline_epochs

    def verdicts(self, seen: ValidationObservation) -> NDArray[np.bool_]:
        vad = seen.baseline_accuracy - seen.update_accuracies
        return vad <= self.params.threshold + self._ROUNDING
