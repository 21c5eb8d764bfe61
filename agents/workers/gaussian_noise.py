"""VBFL's malicious worker: Gaussian noise on the weights."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from agents.workers.base import WorkerBehaviour
from mechanisms.plugin import param
from mechanisms.vocabulary import Submission, WorkerObservation


class GaussianNoise(WorkerBehaviour):
    """w <- w + scale * N(0, 1) after honest training, for every weight tensor."""

    name = "gaussian-noise"
    summary = "adds Gaussian noise to its trained weights (VBFL's malicious device)"
    reference = "Chen et al., arXiv:2101.03300; authors' code, Device.py worker_local_update"
    stochastic = True
    examples = ({}, {"scale": 0.0}, {"scale": 3.0, "biases": True})

    @dataclass(frozen=True)
    class Params:
        scale: float = param(1.0, help="standard deviation of the noise", unit="weight units", ge=0)
        biases: bool = param(False, help="disturb biases too (the authors' code leaves them alone)")

    params: Params

    def submit(self, seen: WorkerObservation) -> Submission:
        updates = seen.updates.copy()
        for row, rng in zip(updates, seen.rngs, strict=True):
            for slot in seen.layout:
                if self.params.biases or not slot.name.endswith("bias"):
                    noise = rng.standard_normal(slot.size, dtype=np.float32)
                    row[slot.start : slot.stop] += self.params.scale * noise
        return Submission(updates, seen.samples, seen.epochs)
