"""Sign flipping."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from agents.workers.base import WorkerBehaviour
from mechanisms.plugin import param
from mechanisms.vocabulary import Submission, WorkerObservation


class SignFlip(WorkerBehaviour):
    """x <- g - factor (x - g)."""

    name = "sign-flip"
    summary = "sends its update mirrored at the global model"
    reference = "Li et al. 2019, arXiv:1811.03761, section 5 (sign-flipping attack)"

    @dataclass(frozen=True)
    class Params:
        factor: float = param(1.0, help="how far against the own direction", gt=0, le=1e6)

    params: Params

    def submit(self, seen: WorkerObservation) -> Submission:
        base, factor = seen.global_models, np.float32(self.params.factor)
        return Submission(base - factor * (seen.updates - base), seen.samples, seen.epochs)
