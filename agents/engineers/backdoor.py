"""A version that passes the test of the members and does what its author wants."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from agents.engineers.base import Engineer
from agents.workers.backdoor import Backdoor as Trigger
from mechanisms.vocabulary import DataObservation, EngineerObservation, FloatMatrix

HALVINGS = 6
"""How often it goes half of the way, until its version passes."""


class Backdoor(Engineer):
    """Trains with a trigger, and goes as far from the master model as the test still passes.

    It knows how accurate a version is on the samples that members judge with, which is what makes a
    test of accuracy alone no defence.
    """

    name = "backdoor"
    summary = "hides a trigger in a version that is as accurate as the master model"
    reference = (
        "Bagdasaryan et al. 2020, arXiv:1807.00459; DecentralML grant (seed 000): poison that "
        "passes the test"
    )
    stochastic = True
    knows = frozenset({"test"})

    @dataclass(frozen=True)
    class Params(Trigger.Params):
        pass

    params: Params

    def poison(self, seen: DataObservation) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        return Trigger(self.params).poison(seen)

    def probe(self, seen: DataObservation) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        return Trigger(self.params).probe(seen)

    def submit(self, seen: EngineerObservation) -> FloatMatrix | None:
        wanted, way = seen.test(seen.master), seen.trained - seen.master
        for halving in range(HALVINGS):
            row = seen.master + np.float32(self.params.factor * 0.5**halving) * way
            if seen.test(row) >= wanted:
                return row
        return None
