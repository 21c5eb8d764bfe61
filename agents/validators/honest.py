"""Voting as the rule says."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from agents.validators.base import ValidatorBehaviour
from mechanisms.vocabulary import VoteObservation


class Honest(ValidatorBehaviour):
    """The protocol's intended validator."""

    name = "honest"
    summary = "votes what the validation rule says"
    reference = "protocol"

    def vote(self, seen: VoteObservation) -> NDArray[np.bool_]:
        return seen.verdicts
