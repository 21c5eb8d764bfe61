"""One verdict for the whole committee, from the median of its measurements."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mechanisms.validators.base import ROUNDING, ValidationRule
from mechanisms.validators.threshold import Threshold
from mechanisms.vocabulary import ValidationObservation


class CommitteeMedian(ValidationRule):
    """Accepts when the median over validators v of A_v(baseline_v) - A_v(update) <= threshold.

    Every validator that judged an update comes to the same verdict; a minority with unusual samples
    does not matter.
    """

    name = "committee-median"
    summary = "the threshold vote on the median deficit that the committee measured"
    reference = (
        "guide on on-chain coordination, committee median; Chen et al., arXiv:2101.03300 (deficit)"
    )
    observes = frozenset({"reports"})

    Params = Threshold.Params
    params: Threshold.Params

    @property
    def baseline_epochs(self) -> int:
        return self.params.baseline_epochs

    def verdicts(self, seen: ValidationObservation) -> NDArray[np.bool_]:
        return np.nanmedian(seen.reports, axis=0) <= self.params.threshold + ROUNDING
