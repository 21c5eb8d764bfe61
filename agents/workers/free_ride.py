"""Free-riders: pay without work."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from agents.crowd import honest_rows
from agents.workers.base import WorkerBehaviour
from mechanisms.plugin import param
from mechanisms.vocabulary import Submission, WorkerObservation


class _FreeRider(WorkerBehaviour):
    def effort(self, epochs: int) -> int:
        return 0


class FreeRideZero(_FreeRider):
    """Sends the global model back and claims the work that was asked for."""

    name = "free-ride-zero"
    summary = "sends the global model back"
    reference = "Fraboni, Vidal and Lorenzi 2021, arXiv:2006.11901 (plain free-rider)"

    def submit(self, seen: WorkerObservation) -> Submission:
        return Submission(seen.global_models.copy(), seen.samples, seen.epochs)


class FreeRideNoise(_FreeRider):
    """Sends the global model with a little noise that hides the copy."""

    name = "free-ride-noise"
    summary = "sends the global model back with noise on it"
    reference = "Fraboni, Vidal and Lorenzi 2021, arXiv:2006.11901 (disguised free-rider)"
    stochastic = True

    @dataclass(frozen=True)
    class Params:
        scale: float = param(
            0.01, help="standard deviation of the disguise", unit="weight units", ge=0, le=1e6
        )

    params: Params

    def submit(self, seen: WorkerObservation) -> Submission:
        rows = seen.global_models.copy()
        for row, rng in zip(rows, seen.rngs, strict=True):
            row += np.float32(self.params.scale) * rng.standard_normal(len(row), dtype=np.float32)
        return Submission(rows, seen.samples, seen.epochs)


class FreeRideStale(_FreeRider):
    """g + (g - the global model before): repeats the last step of all others."""

    name = "free-ride-stale"
    summary = "repeats the last change of the global model"
    reference = "Lin, Du and Liu 2019, arXiv:1911.12560, section 3 (delta weights)"
    knows = frozenset({"previous"})

    def submit(self, seen: WorkerObservation) -> Submission:
        return Submission(2 * seen.global_models - seen.previous_models, seen.samples, seen.epochs)


class FreeRideCopy(_FreeRider):
    """Sends another worker's update as its own; it must see that update before it submits.

    If it sees none, it sends the global model back. Re-execution tells a copy from the copier's own
    work; measuring accuracy does not.
    """

    name = "free-ride-copy"
    summary = "copies the update of another worker"
    reference = "guide on on-chain coordination, commit-reveal (what it prevents)"
    stochastic = True
    knows = frozenset({"others"})

    def submit(self, seen: WorkerObservation) -> Submission:
        rows = honest_rows(seen)
        return Submission(
            np.stack([rows[rng.integers(len(rows))] for rng in seen.rngs]),
            seen.samples,
            seen.epochs,
        )
