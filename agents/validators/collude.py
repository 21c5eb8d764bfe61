"""Validators that help their own."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from agents.validators.base import ValidatorBehaviour
from mechanisms.plugin import param
from mechanisms.vocabulary import VoteObservation


@dataclass(frozen=True)
class ColludeParams:
    """Parameters of the plug-in below."""

    against_others: bool = param(False, help="vote against everybody outside the group; else as the rule says")


class Collude(ValidatorBehaviour):
    """Accepts the updates of its own group, whatever they are."""

    name = "collude"
    summary = "votes for its own group, and if asked against all others"
    reference = "collusion and sybils voting for each other"
    Params = ColludeParams

    def vote(self, seen: VoteObservation) -> NDArray[np.bool_]:
        own = np.array([w in seen.coalition for w in seen.workers], dtype=np.bool_)
        return own | (np.zeros_like(own) if self.params.against_others else seen.verdicts)
