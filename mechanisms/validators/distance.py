"""Judging updates by their distance to the others, not by accuracy."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mechanisms.geometry import TIED, finite_rows, middle, squared_norms
from mechanisms.plugin import param
from mechanisms.validators.base import ValidationRule
from mechanisms.vocabulary import ValidationObservation


class Distance(ValidationRule):
    """Accepts when ||x_i - m|| <= factor * median_j ||x_j - m||, m the coordinate-wise median."""

    name = "distance"
    summary = "rejects updates that lie far from the coordinate-wise median"
    reference = (
        "distance-based filtering, after Yin et al. 2018, arXiv:1803.01498 (median as centre)"
    )
    observes = frozenset({"updates"})

    @dataclass(frozen=True)
    class Params:
        factor: float = param(
            2.0, help="how many median distances from the middle an update may lie", gt=0, le=1e6
        )

    params: Params

    def verdicts(self, seen: ValidationObservation) -> NDArray[np.bool_]:
        if len(seen.updates) == 0:
            return np.zeros(0, dtype=np.bool_)
        finite = finite_rows(seen.updates)
        verdicts = np.zeros(len(finite), dtype=np.bool_)
        rows = seen.updates[finite]
        if len(rows):
            away = np.sqrt(squared_norms(rows, middle(rows)))
            verdicts[finite] = away <= self.params.factor * np.median(away) * (1 + TIED)
        return verdicts
