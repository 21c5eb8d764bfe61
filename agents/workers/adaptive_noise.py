"""An attacker that knows the rules and the validators' data."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from agents.workers.base import WorkerBehaviour
from mechanisms.plugin import param
from mechanisms.vocabulary import Submission, WorkerObservation


class AdaptiveNoise(WorkerBehaviour):
    """Sends the largest noise whose loss of accuracy stays below the validators' threshold.

    The loss is measured on the validators' data. Under rules without a parameter `threshold` the
    noise costs no accuracy at all.
    """

    name = "adaptive-noise"
    summary = "as much noise as the validators' threshold lets through"
    reference = (
        "adaptive attacks: Carlini and Wagner 2017, arXiv:1705.07263; threshold rule of "
        "arXiv:2101.03300"
    )
    stochastic = True
    knows = frozenset({"rules", "validation"})

    @dataclass(frozen=True)
    class Params:
        largest: float = param(
            10.0, help="largest standard deviation of the noise", unit="weight units", gt=0, le=1e6
        )
        steps: int = param(10, help="bisections", ge=1, le=30)
        margin: float = param(0.5, help="part of the threshold to use up", ge=0, le=1)

    params: Params

    def submit(self, seen: WorkerObservation) -> Submission:
        p = self.params
        allowed = p.margin * float(seen.rules["validation"]["params"].get("threshold", 0.0))
        noise = np.stack(
            [rng.standard_normal(seen.updates.shape[1], dtype=np.float32) for rng in seen.rngs]
        )
        floor = seen.validation(seen.updates) - allowed
        low, high = np.zeros(len(noise)), np.full(len(noise), p.largest)
        for _ in range(p.steps):
            middle = (low + high) / 2
            rows = seen.updates + middle[:, None].astype(np.float32) * noise
            passes = seen.validation(rows) >= floor
            low, high = np.where(passes, middle, low), np.where(passes, high, middle)
        rows = seen.updates + low[:, None].astype(np.float32) * noise
        return Submission(rows, seen.samples, seen.epochs)
