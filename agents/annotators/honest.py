"""Annotators that look at the items, and say what they perceive."""

from __future__ import annotations

from dataclasses import dataclass

from agents.annotators.base import Annotator
from mechanisms.plugin import param
from mechanisms.vocabulary import AnnotatorObservation, Labels, TakingObservation


class Honest(Annotator):
    """Takes tasks whose reward covers the effort, and answers what it perceives."""

    name = "honest"
    summary = "looks at every item and answers what it perceives"
    reference = "DecentralML grant (seed 000): data annotators provide labels and annotations"
    knows = frozenset({"signals"})
    examples = ({}, {"skill": 0.7})

    @dataclass(frozen=True)
    class Params:
        skill: float = param(
            0.0,
            help="probability that it perceives the label of an easy item; 0: as it was drawn for "
            "it (`labelling.skill`)",
            ge=0,
            le=1,
        )

    params: Params

    @property
    def skill(self) -> float | None:
        return self.params.skill or None

    def take(self, seen: TakingObservation) -> int:
        return seen.most if seen.reward >= seen.cost else 0

    def answer(self, seen: AnnotatorObservation) -> Labels:
        return seen.signals
