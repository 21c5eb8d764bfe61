"""Creators that refuse good work."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from agents.creators.base import Creator
from mechanisms.plugin import param
from mechanisms.vocabulary import CreatorObservation


class Thief(Creator):
    """Refuses work without looking at it, and trains on it all the same."""

    name = "thief"
    summary = "refuses work in order not to pay, and uses it"
    reference = "DecentralML, ValidationStrategy::ManualAccept: nothing binds the creator"
    stochastic = True
    keeps = True
    examples = ({}, {"refuses": 0.5})

    @dataclass(frozen=True)
    class Params:
        refuses: float = param(1.0, help="probability that it refuses a submission", ge=0, le=1)

    params: Params

    def accept(self, seen: CreatorObservation) -> NDArray[np.bool_]:
        return seen.rng.random(len(seen.answers)) >= self.params.refuses


class Arbitrary(Creator):
    """Refuses submissions at random, good or bad, and does not use what it refused."""

    name = "arbitrary"
    summary = "refuses submissions at random, whatever they are worth"
    reference = "Silberman et al. 2018, CACM 61(3): arbitrary rejection on crowd-work platforms"
    stochastic = True
    examples = ({}, {"refuses": 0.9})

    @dataclass(frozen=True)
    class Params:
        refuses: float = param(0.3, help="probability that it refuses a submission", ge=0, le=1)

    params: Params

    def accept(self, seen: CreatorObservation) -> NDArray[np.bool_]:
        return seen.rng.random(len(seen.answers)) >= self.params.refuses
