"""Annotators that answer alike, by an agreement or because one person owns them all."""

from __future__ import annotations

import numpy as np

from agents.annotators.base import Annotator
from mechanisms.vocabulary import AnnotatorObservation, Labels

FACTOR = 2_654_435_761
"""Knuth's multiplicative hash: neighbouring questions get unlike labels."""


class Colluder(Annotator):
    """Answers a label that follows from the number of the question: all of its kind agree.

    The common signal says nothing about the item, costs nothing, and varies from question to
    question, so that rules which take off agreement by habit pay it as they pay the truth.
    """

    name = "colluder"
    summary = "answers what its coalition agreed on by the number of the question, without looking"
    reference = "Gao, Wright and Leyton-Brown 2016, arXiv:1606.07042: coordination on other signals"

    def answer(self, seen: AnnotatorObservation) -> Labels:
        return (seen.questions * FACTOR // 2**16) % seen.options


class Sybil(Annotator):
    """Identities of one owner: the first one looks, and all send what it perceives.

    The owner has the effort of one annotator and the rewards of all; each label that its identities
    make up the majority of is as good as one look.
    """

    name = "sybil"
    summary = "identities of one owner send the same answers, of which one alone looks"
    reference = "Douceur 2002, IPTPS, The Sybil Attack; grant (seed 000), one wallet one annotator"
    knows = frozenset({"shared"})

    def answer(self, seen: AnnotatorObservation) -> Labels:
        return seen.shared

    def effort(self, seen: AnnotatorObservation) -> float:
        return float(seen.device == min(seen.coalition, default=seen.device))


class Permuter(Annotator):
    """Looks at the items, and answers the next label instead of the one that it perceives."""

    name = "permuter"
    summary = "looks, and gives every label another name: a consistent lie"
    reference = "Shnayder et al. 2016, arXiv:1603.03151: permutation strategies"
    knows = frozenset({"signals"})

    def answer(self, seen: AnnotatorObservation) -> Labels:
        return np.where(seen.signals + 1 == seen.options, 0, seen.signals + 1)
