"""Inner-product manipulation."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from agents.crowd import mean_and_deviation, same_row
from agents.workers.base import WorkerBehaviour
from mechanisms.plugin import param
from mechanisms.vocabulary import Submission, WorkerObservation


class InnerProduct(WorkerBehaviour):
    """g - epsilon * mean honest step: turns the aggregate away from the honest descent."""

    name = "inner-product"
    summary = "the mean honest update, reversed and scaled"
    reference = "Xie, Koyejo and Gupta 2020, arXiv:1903.03936, section 4"
    knows = frozenset({"others"})

    @dataclass(frozen=True)
    class Params:
        epsilon: float = param(
            0.5,
            help="length against the mean honest update; small passes robust rules, large turns "
            "means",
            gt=0,
            le=1e6,
        )

    params: Params

    def submit(self, seen: WorkerObservation) -> Submission:
        base = seen.global_models[0]
        mean, _ = mean_and_deviation(seen)
        return same_row(seen, base - np.float32(self.params.epsilon) * (mean - base))
