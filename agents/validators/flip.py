"""VBFL's lying validator: the opposite of each verdict."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from agents.validators.base import ValidatorBehaviour
from mechanisms.vocabulary import VoteObservation


class Flip(ValidatorBehaviour):
    """Votes the negation of the rule's verdict."""

    name = "flip"
    summary = "flips every vote (VBFL's malicious validator)"
    reference = "Chen et al., arXiv:2101.03300; authors' code, option -mv 1"

    def vote(self, seen: VoteObservation) -> NDArray[np.bool_]:
        return ~seen.verdicts

    def report(self, seen: VoteObservation, scores: NDArray[np.float64]) -> NDArray[np.float64]:
        return -scores
