"""Federated averaging."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mechanisms.aggregators.base import AggregationRule
from mechanisms.geometry import combine, far_apart, row_sizes
from mechanisms.plugin import param
from mechanisms.vocabulary import AggregationObservation


class Mean(AggregationRule):
    """sum_k w_k x_k with w_k = 1/n, or n_k / sum n when weighted."""

    name = "mean"
    summary = "mean of the accepted updates, plain (VBFL) or weighted by claimed samples (FedAvg)"
    reference = "McMahan et al. 2017, arXiv:1602.05629, algorithm 1"
    individual = False
    examples = ({}, {"weighted": True})

    @dataclass(frozen=True)
    class Params:
        weighted: bool = param(
            False, help="weigh each update by the samples its worker claims (FedAvg); VBFL does not"
        )

    params: Params

    def combine(self, seen: AggregationObservation) -> NDArray[np.floating]:
        counts = np.ones(len(seen.workers))
        if self.params.weighted and seen.samples.sum() > 0:
            counts = seen.samples.astype(np.float64)
        if not far_apart(row_sizes(seen.updates)):
            with np.errstate(over="ignore", invalid="ignore"):
                mean = (counts / counts.sum()).astype(np.float32) @ seen.updates
            if np.isfinite(mean).all():
                return mean
        return combine(counts, seen.updates) / counts.sum()
