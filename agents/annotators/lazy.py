"""Annotators that do not look, or not at everything."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from agents.annotators.base import Annotator
from agents.labels import check_class
from mechanisms.plugin import param
from mechanisms.vocabulary import AnnotatorObservation, Labels


class LazyConstant(Annotator):
    """Answers one label to every question."""

    name = "lazy-constant"
    summary = "answers the same label to every question, without looking"
    reference = "Jurca and Faltings 2009, JAIR 34, uninformative equilibria of peer prediction"
    examples = ({}, {"label": 1})

    @dataclass(frozen=True)
    class Params:
        label: int = param(0, help="the label", ge=0)

    params: Params

    def answer(self, seen: AnnotatorObservation) -> Labels:
        check_class(self.params.label, seen.options, "label")
        return np.full(len(seen.questions), self.params.label)


class LazyRandom(Annotator):
    """Answers any label, each as likely."""

    name = "lazy-random"
    summary = "answers at random, without looking"
    reference = "Vuurens, de Vries and Eickhoff 2011, SIGIR workshop: random spammers"
    stochastic = True

    def answer(self, seen: AnnotatorObservation) -> Labels:
        return seen.rng.integers(seen.options, size=len(seen.questions))


class Careless(Annotator):
    """Looks at some of the items, and answers the others at random."""

    name = "careless"
    summary = "looks at a part of the items, and answers the rest at random"
    reference = "Dasgupta and Ghosh 2013, WWW: binary effort of annotators"
    stochastic = True
    knows = frozenset({"signals"})
    examples = ({}, {"looks": 0.1})

    @dataclass(frozen=True)
    class Params:
        looks: float = param(0.5, help="probability that it looks at an item", ge=0, le=1)

    params: Params

    def answer(self, seen: AnnotatorObservation) -> Labels:
        looked, guesses = self._drawn(seen)
        return np.where(looked, seen.signals, guesses)

    def effort(self, seen: AnnotatorObservation) -> float:
        return self.params.looks

    def _drawn(self, seen: AnnotatorObservation) -> tuple[np.ndarray, Labels]:
        n = len(seen.questions)
        looked = seen.rng.random(n) < self.params.looks
        return looked, seen.rng.integers(seen.options, size=n)
