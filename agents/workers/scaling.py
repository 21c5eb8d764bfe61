"""Scaling: an enlarged update that outweighs all others (model replacement)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from agents.workers.base import WorkerBehaviour
from mechanisms.plugin import param
from mechanisms.vocabulary import Submission, WorkerObservation


class Scaling(WorkerBehaviour):
    """x <- g + factor (x - g)."""

    name = "scaling"
    summary = "sends its update enlarged"
    reference = "Bagdasaryan et al. 2020, arXiv:1807.00459, equation (3)"

    @dataclass(frozen=True)
    class Params:
        factor: float = param(
            10.0, help="times the own update; n replaces the mean of n updates", gt=0, le=1e6
        )

    params: Params

    def submit(self, seen: WorkerObservation) -> Submission:
        base, factor = seen.global_models, np.float32(self.params.factor)
        return Submission(base + factor * (seen.updates - base), seen.samples, seen.epochs)
