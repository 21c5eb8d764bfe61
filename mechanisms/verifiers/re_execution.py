"""Verification of a random sample by doing the work again."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mechanisms.plugin import param
from mechanisms.verifiers.base import Verifier
from mechanisms.vocabulary import VerificationObservation


class ReExecution(Verifier):
    """Trains an update again with probability p and judges it rightly; believes all others.

    Cheating does not pay if p * loss >= (1 - p) * gain.
    """

    name = "re-execution"
    summary = "re-trains each update with a probability and believes the rest"
    reference = (
        "guide on on-chain coordination, proof of learning; Jia et al. 2021, arXiv:2103.05633"
    )
    stochastic = True
    examples = ({}, {"probability": 1.0})

    @dataclass(frozen=True)
    class Params:
        probability: float = param(0.2, help="probability that an update is checked", ge=0, le=1)
        verify_s: float = param(
            1.0,
            help="time that one check takes; an update costs the aggregator p times that",
            unit="seconds",
            ge=0,
            le=1e6,
        )

    params: Params

    @property
    def verify_s(self) -> float:
        return self.params.verify_s * self.params.probability

    def verdicts(self, seen: VerificationObservation) -> NDArray[np.bool_]:
        checked = seen.rng.random(len(seen.genuine)) < self.params.probability
        return (seen.genuine | ~checked)[None]
