"""Validators that do not look: they accept, toss a coin, or follow the others."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from agents.validators.base import ValidatorBehaviour
from mechanisms.plugin import param
from mechanisms.vocabulary import VoteObservation


class AlwaysAccept(ValidatorBehaviour):
    """Votes for every update."""

    name = "always-accept"
    summary = "votes for every update"
    reference = "lazy validator"

    def vote(self, seen: VoteObservation) -> NDArray[np.bool_]:
        return np.ones(len(seen.workers), dtype=np.bool_)

    def report(self, seen: VoteObservation, scores: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.ones_like(scores)


class Coin(ValidatorBehaviour):
    """Votes at random, whatever the update."""

    name = "coin"
    summary = "votes at random"
    reference = "lazy validator"
    stochastic = True

    @dataclass(frozen=True)
    class Params:
        probability: float = param(0.5, help="probability of a positive vote", ge=0, le=1)

    params: Params

    def vote(self, seen: VoteObservation) -> NDArray[np.bool_]:
        return seen.rng.random(len(seen.workers)) < self.params.probability

    def report(self, seen: VoteObservation, scores: NDArray[np.float64]) -> NDArray[np.float64]:
        return seen.rng.uniform(-1, 1, len(scores))


class CopyMajority(ValidatorBehaviour):
    """Votes as the majority of the validators that have voted; a tie is positive."""

    name = "copy-majority"
    summary = "repeats the majority of the other validators"
    reference = "lazy validator; what committee-majority rewards"
    knows = frozenset({"votes"})

    def vote(self, seen: VoteObservation) -> NDArray[np.bool_]:
        return seen.support >= 0.5
