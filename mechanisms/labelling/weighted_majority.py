"""Weighted majority: whoever is right more often counts more, by Dawid and Skene's EM.

Nobody says who is right: labels and abilities are estimated in turn until they agree. The library
crowd-kit has the same algorithm and brings a stack of language models with it, so that these few
lines are our own; the tests hold them against the equations of the paper, loop by loop.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mechanisms.labelling.base import LabellingRule, counted
from mechanisms.plugin import param
from mechanisms.vocabulary import Judgement, LabellingObservation, Labels

DIGITS = 9
"""Probabilities are rounded to so many: sums in another order must not break a tie."""

Confusions = NDArray[np.float64]
"""`float64[n, options, options]`: for each submission, by true label the answers expected."""


class WeightedMajority(LabellingRule):
    """Pays each answer by the probability that it is the true label, given the answers of all.

    With `model = "confusion"` an annotator has a probability for each pair of true label and answer
    (Dawid and Skene 1979). With "one-coin" it has one probability of being right, all wrong labels
    being as likely (Zhang et al. 2014): that is learned from far fewer answers.
    """

    name = "weighted-majority"
    summary = "pays answers by their probability, estimated with everybody's ability (Dawid-Skene)"
    reference = (
        "Dawid and Skene 1979, Applied Statistics 28(1), equations 2.3 to 2.5; "
        "Zhang, Chen, Zhou and Jordan 2014, arXiv:1406.3824 (one-coin)"
    )
    examples = ({}, {"model": "confusion"}, {"remembers": False, "iterations": 5})

    @dataclass(frozen=True)
    class Params:
        model: str = param(
            "one-coin",
            help="what an annotator's ability is: one probability, or one for each pair of labels",
            choices=("one-coin", "confusion"),
        )
        iterations: int = param(50, help="steps of the estimation at most", ge=1, le=10_000)
        smoothing: float = param(
            1.0, help="answers that are assumed of everybody, as right as a guess", gt=0, le=1e6
        )
        remembers: bool = param(
            True, help="answers to earlier tasks count for the ability of an annotator"
        )

    params: Params

    def judge(self, seen: LabellingObservation) -> Judgement:
        earlier = self._earlier(seen)
        found = estimated(
            seen.answers,
            seen.options,
            earlier,
            one_coin=self.params.model == "one-coin",
            smoothing=self.params.smoothing,
            iterations=self.params.iterations,
        )
        scores = found[np.arange(len(found)), seen.answers]
        return Judgement(scores, found.argmax(1), found.max(1), self._memory(seen, earlier, found))

    def _earlier(self, seen: LabellingObservation) -> Confusions:
        """Return what the answers of each annotator to earlier tasks were."""
        nothing = np.zeros((seen.options, seen.options))
        known = [seen.memory.get(str(worker)) for worker in seen.workers]
        return np.array([nothing if table is None else np.array(table) for table in known])

    def _memory(
        self, seen: LabellingObservation, earlier: Confusions, found: NDArray[np.float64]
    ) -> dict[str, Any] | None:
        if not self.params.remembers:
            return None
        tables = np.round(earlier + expected_answers(seen.answers, found), DIGITS)
        own = {str(w): t.tolist() for w, t in zip(seen.workers, tables, strict=True)}
        return {**seen.memory, **own}


def expected_answers(answers: Labels, found: NDArray[np.float64]) -> Confusions:
    """Return how often each submission gave each answer to each true label, as expected."""
    given = (answers[:, :, None] == np.arange(found.shape[1])).astype(float)
    return np.einsum("qk,iql->ikl", found, given)


def estimated(
    answers: Labels,
    options: int,
    earlier: Confusions,
    *,
    one_coin: bool,
    smoothing: float,
    iterations: int,
) -> NDArray[np.float64]:
    """Return the probability of each label of each question, `float64[q, options]`, by EM.

    Args:
        answers: `int64[n, q]`.
        options: labels are 0..options-1.
        earlier: what is known of the annotators before; zeros for nothing.
        one_coin: whether an annotator has one probability of being right.
        smoothing: answers that are assumed of everybody, as right as a guess.
        iterations: at most so many steps; fewer when nothing changes any more.
    """
    found = counted(answers, options) / len(answers)
    for _ in range(iterations):
        counts = earlier + expected_answers(answers, found) + smoothing / options**2
        ability = _one_coin(counts) if one_coin else counts / counts.sum(2, keepdims=True)
        prior = (found.sum(0) + smoothing / options) / (len(found) + smoothing)
        again = _posterior(answers, np.log(prior), np.log(ability))
        if (again == found).all():
            break
        found = again
    return found


def _one_coin(counts: Confusions) -> Confusions:
    """Return confusions in which all true labels, and all wrong answers, are alike."""
    options = counts.shape[1]
    right = np.trace(counts, axis1=1, axis2=2) / counts.sum((1, 2))
    wrong = (1 - right) / (options - 1)
    same = np.eye(options)
    return right[:, None, None] * same + wrong[:, None, None] * (1 - same)


def _posterior(
    answers: Labels, prior: NDArray[np.float64], ability: Confusions
) -> NDArray[np.float64]:
    """Return the probabilities of labels, rounded, from logarithms of priors and abilities."""
    rows = np.arange(len(answers))[:, None]
    scores = prior + ability[rows, :, answers].sum(0)
    likelihoods = np.exp(scores - scores.max(1, keepdims=True))
    return np.round(likelihoods / likelihoods.sum(1, keepdims=True), DIGITS)
