"""An engineer that improves the model."""

from __future__ import annotations

from dataclasses import dataclass

from agents.engineers.base import Engineer
from mechanisms.plugin import param
from mechanisms.vocabulary import DownloadObservation, EngineerObservation, FloatMatrix


class Honest(Engineer):
    """Trains the master model on the public samples and submits what comes out.

    It works only where that can pay: where the charge is at most the part of the pool that it hopes
    for.
    """

    name = "honest"
    summary = "trains the master model on public samples, where the pool is worth the charge"
    reference = "DecentralML grant (seed 000), model engineers"

    @dataclass(frozen=True)
    class Params:
        hopes: float = param(
            0.1, help="part of the engineers' pool that it hopes for, for a version", ge=0, le=1
        )

    params: Params

    def downloads(self, seen: DownloadObservation) -> bool:
        return seen.pool > 0 and seen.charge <= self.params.hopes * seen.pool

    def submit(self, seen: EngineerObservation) -> FloatMatrix | None:
        return seen.trained
