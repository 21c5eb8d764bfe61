"""Majority: an answer is worth its points when it is the one that most annotators gave."""

from __future__ import annotations

from mechanisms.labelling.base import LabellingRule, majority
from mechanisms.vocabulary import Judgement, LabellingObservation


class Majority(LabellingRule):
    """Pays each answer that is the most frequent one to its question, of equals the lowest."""

    name = "majority"
    summary = "pays answers that agree with the majority of all answers"
    reference = (
        "DecentralML grant (seed 000), submitDataAnnotationForReward: a simple validation test; "
        "Sheng, Provost and Ipeirotis 2008, KDD"
    )

    def judge(self, seen: LabellingObservation) -> Judgement:
        labels, weights = majority(seen.answers, seen.options)
        scores = (seen.answers == labels).astype(float)
        return Judgement(scores, labels, weights)
