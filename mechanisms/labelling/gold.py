"""Gold questions: answers are paid if they are right on questions whose label the creator knows."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from math import ceil

import numpy as np

from mechanisms.labelling.base import LabellingRule, majority
from mechanisms.plugin import param
from mechanisms.vocabulary import UNKNOWN, Judgement, LabellingObservation


class Gold(LabellingRule):
    """Pays a submission in full, or nothing, by its answers to the gold questions.

    The label is what most of the paid submissions say. A task without gold questions is paid.
    """

    name = "gold"
    summary = "pays submissions that are right on enough gold questions, and nothing to the others"
    reference = (
        "DecentralML grant (seed 000), testQuestionnaire: a simple validation test; "
        "Le et al. 2010, SIGIR workshop on crowdsourcing"
    )
    observes = frozenset({"gold"})
    examples = ({}, {"least": 1.0})

    @dataclass(frozen=True)
    class Params:
        least: float = param(0.6, help="share of the gold questions to be right", ge=0, le=1)

    params: Params

    def judge(self, seen: LabellingObservation) -> Judgement:
        known = seen.gold != UNKNOWN
        right = (seen.answers[:, known] == seen.gold[known]).sum(1)
        passed = right >= ceil(Fraction(repr(self.params.least)) * int(known.sum()))
        scores = np.repeat(passed[:, None].astype(float), seen.answers.shape[1], 1)
        if not passed.any():
            nothing = np.full(len(seen.points), UNKNOWN)
            return Judgement(scores, nothing, np.zeros(len(seen.points)))
        labels, weights = majority(seen.answers[passed], seen.options)
        return Judgement(scores, labels, weights)
