"""Creators that pay for work that is good."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from agents.creators.base import Creator
from mechanisms.plugin import param
from mechanisms.vocabulary import UNKNOWN, CreatorObservation


class Honest(Creator):
    """Accepts submissions that are right on enough of the questions whose answer it knows.

    Where it knows none, it accepts everything.
    """

    name = "honest"
    summary = "accepts what is right on enough of the questions that it checks"
    reference = "DecentralML, ValidationStrategy::ManualAccept: the creator accepts or rejects"
    knows = frozenset({"checked"})
    examples = ({}, {"least": 0.9})

    @dataclass(frozen=True)
    class Params:
        least: float = param(0.6, help="share of the known questions to be right", ge=0, le=1)

    params: Params

    def accept(self, seen: CreatorObservation) -> NDArray[np.bool_]:
        known = seen.checked != UNKNOWN
        if not known.any():
            return np.ones(len(seen.answers), dtype=np.bool_)
        right = (seen.answers[:, known] == seen.checked[known]).mean(1)
        return right >= self.params.least
