"""Annotators that take tasks and never answer."""

from __future__ import annotations

from agents.annotators.base import Annotator
from mechanisms.vocabulary import AnnotatorObservation, Labels


class Squatter(Annotator):
    """Takes all that it may, and sends nothing: others find no free place."""

    name = "squatter"
    summary = "takes as many tasks as it may, and never sends an answer"
    reference = "pallet-decentralml, assign_task: any account assigns itself, and nothing expires"

    def answer(self, seen: AnnotatorObservation) -> Labels | None:
        return None
