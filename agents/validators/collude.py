"""Validators that vote for their own group."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from agents.validators.base import ValidatorBehaviour
from mechanisms.plugin import param
from mechanisms.vocabulary import VoteObservation


class Collude(ValidatorBehaviour):
    """Accepts every update of its own group."""

    name = "collude"
    summary = "votes for its own group, and if asked against all others"
    reference = "collusion and sybils voting for each other"

    @dataclass(frozen=True)
    class Params:
        against_others: bool = param(
            False, help="vote against everybody outside the group; else as the rule says"
        )

    params: Params

    def report(self, seen: VoteObservation, scores: NDArray[np.float64]) -> NDArray[np.float64]:
        theirs = np.full_like(scores, -1.0) if self.params.against_others else scores
        return np.where(self._own(seen), 1.0, theirs)

    @staticmethod
    def _own(seen: VoteObservation) -> NDArray[np.bool_]:
        return np.array([w in seen.coalition for w in seen.workers], dtype=np.bool_)

    def vote(self, seen: VoteObservation) -> NDArray[np.bool_]:
        own = self._own(seen)
        return own if self.params.against_others else own | seen.verdicts
