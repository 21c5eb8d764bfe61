"""Engineers that submit without work."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from agents.engineers.base import Engineer
from mechanisms.plugin import param
from mechanisms.vocabulary import EngineerObservation, FloatMatrix


class Spam(Engineer):
    """Submits the master model with a little noise, for whatever approves it.

    Its digest is a new one; the model is as good as before, or a little worse.
    """

    name = "spam"
    summary = "submits the master model with noise, without any training"
    reference = "DecentralML grant (seed 000): anyone can send their version (modelEngineerUpdate)"
    stochastic = True

    @dataclass(frozen=True)
    class Params:
        noise: float = param(
            1e-4, help="standard deviation of the noise on each parameter", gt=0, le=1e6
        )

    params: Params

    def effort(self, epochs: int) -> int:
        return 0

    def submit(self, seen: EngineerObservation) -> FloatMatrix | None:
        noise = seen.rng.standard_normal(len(seen.master), dtype=np.float32)
        return seen.master + np.float32(self.params.noise) * noise
