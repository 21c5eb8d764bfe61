"""Peer prediction: an answer is paid by what others answered, so that telling the truth is best.

Nobody knows a true label here. What the three rules promise, and what none can: all annotators who
relabel in the same way are paid as if they told the truth; only a gold question or an honest
majority with a name for each label breaks that.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mechanisms.labelling.base import LabellingRule, majority
from mechanisms.plugin import PluginError, param
from mechanisms.vocabulary import Judgement, LabellingObservation, Labels

Matrix = NDArray[np.float64]


class OutputAgreement(LabellingRule):
    """Pays an answer by the share of the other annotators that gave the same one.

    The baseline that lazy agreement beats: if everybody always gives one label, all earn all.
    """

    name = "output-agreement"
    summary = "pays an answer by the share of the others that gave the same"
    reference = "von Ahn and Dabbish 2004, CHI (ESP game); Waggoner and Chen 2014, HCOMP"

    def judge(self, seen: LabellingObservation) -> Judgement:
        same = np.eye(seen.options)
        return _judgement(seen, against_others(bonuses(seen.answers, same)))


class _Corrected(LabellingRule):
    """Base of rules that take off what annotators would agree by habit."""

    params: Any

    def judged(self, seen: LabellingObservation, agreement: Matrix, memory: Any) -> Judgement:
        scores = corrected(seen.answers, agreement)
        paid = self.params.base + self.params.scale * scores
        return _judgement(seen, paid, memory)


class CorrelatedAgreement(_Corrected):
    """Pays for agreement on a question beyond that on different questions.

    Answers a and b agree when S(a, b) = 1: that is where two honest annotators give them together
    more often than by chance. The score of a question is S of the two answers to it, less the mean
    S of answers to two different questions, the mean over all others. S is given, or learned from
    the reports ("detail-free"): of all annotators, in this task and earlier ones, or of the two
    whose answers are compared. S of a pair follows whoever of the two relabels, who is then paid
    like the truth; S of all follows the majority.
    """

    name = "correlated-agreement"
    summary = "pays agreement beyond chance between labels that honest answers correlate"
    reference = "Shnayder, Agarwal, Frongillo and Parkes 2016, EC, arXiv:1603.03151"
    examples = ({}, {"learned": "pair"}, {"remembers": False, "base": 0.5, "scale": 0.5})

    @dataclass(frozen=True)
    class Params:
        agreement: tuple[int, ...] = param(
            (), help="S row by row, 0 or 1 for each pair of labels; none given: learned", ge=0, le=1
        )
        learned: str = param("all", help="from whose answers S is learned", choices=("all", "pair"))
        remembers: bool = param(
            True, help="S of all is learned from the answers to earlier tasks as well"
        )
        base: float = param(0.0, help="part of the points that a score of 0 is paid", ge=0, le=1)
        scale: float = param(1.0, help="part of the points for a score of 1 more", gt=0, le=100)

    params: Params

    def judge(self, seen: LabellingObservation) -> Judgement:
        given, options = self.params.agreement, seen.options
        if given:
            if len(given) != options**2:
                message = f"must have {options**2} entries for {options} labels"
                raise PluginError(message, "agreement", given)
            return self.judged(seen, np.reshape(given, (options, options)).astype(float), None)
        if self.params.learned == "pair":
            return self.judged(seen, correlated(own_counts(seen.answers, options)), None)
        counts = pair_counts(seen.answers, options)
        if not self.params.remembers:
            return self.judged(seen, correlated(counts), None)
        counts = counts + np.array(seen.memory.get("pairs", np.zeros_like(counts).tolist()))
        return self.judged(seen, correlated(counts), {"pairs": counts.tolist()})


class IdentityScore(_Corrected):
    """Pays for the same answer to a question beyond the same answer to different questions.

    Correlated agreement with S = 1 only for equal labels: strictly truthful where signals are
    categorical, that is where no label makes another one more likely. Elsewhere merging two
    labels can pay more than the truth.
    """

    name = "identity-score"
    summary = "pays equal answers beyond chance: strictly truthful for categorical signals"
    reference = "Dasgupta and Ghosh 2013, WWW; Shnayder et al. 2016, arXiv:1603.03151, section 4"
    examples = ({}, {"base": 0.5, "scale": 0.5})

    @dataclass(frozen=True)
    class Params:
        base: float = param(0.0, help="part of the points that a score of 0 is paid", ge=0, le=1)
        scale: float = param(1.0, help="part of the points for a score of 1 more", gt=0, le=100)

    params: Params

    def judge(self, seen: LabellingObservation) -> Judgement:
        return self.judged(seen, np.eye(seen.options), None)


# --- scores -------------------------------------------------------------------------------------


def bonuses(answers: Labels, agreement: Matrix) -> Matrix:
    """Return S of the answers of each pair to each question, `float64[n, n, q]`.

    Args:
        answers: `int64[n, q]`.
        agreement: S, `float64[options, options]`; or one for each pair, with two axes of pairs in
            front.
    """
    ours, theirs = answers[:, None, :], answers[None, :, :]
    if agreement.ndim == 2:
        return agreement[ours, theirs]
    row, column = np.ogrid[: len(answers), : len(answers)]
    return agreement[row[:, :, None], column[:, :, None], ours, theirs]


def corrected(answers: Labels, agreement: Matrix) -> Matrix:
    """Return the score of each answer, `float64[n, q]`: the bonus less the mean penalty.

    The penalty of a pair is the mean of S over all pairs of different questions; a task of one
    question has none and pays nothing. Arguments are those of `bonuses`.
    """
    n, q = answers.shape
    if q < 2:
        return np.zeros((n, q))
    found = bonuses(answers, agreement)
    counts = (answers[:, :, None] == np.arange(agreement.shape[-1])).sum(1)
    each = "ijab" if agreement.ndim == 4 else "ab"
    across = np.einsum(f"ia,{each},jb->ij", counts, agreement, counts) - found.sum(2)
    return against_others(found - across[:, :, None] / (q * (q - 1)))


def against_others(pairs: Matrix) -> Matrix:
    """Return the mean of `pairs[i, j]` over all j but i, `float64[n, q]`; 0 without any other."""
    n = len(pairs)
    if n < 2:
        return np.zeros(pairs.shape[1:])
    own = pairs[np.arange(n), np.arange(n)]
    return (pairs.sum(1) - own) / (n - 1)


def pair_counts(answers: Labels, options: int) -> NDArray[np.int64]:
    """Return how often two annotators gave labels a and b to one question, both ways round."""
    given = (answers[:, :, None] == np.arange(options)).astype(np.int64)
    totals = given.sum(0)
    return totals.T @ totals - np.einsum("iqa,iqb->ab", given, given)


def own_counts(answers: Labels, options: int) -> NDArray[np.int64]:
    """Return how often each pair gave labels a and b to one question, `[n, n, options, options]`.

    a is the label of the first of the pair, b that of the second.
    """
    given = (answers[:, :, None] == np.arange(options)).astype(np.int64)
    return np.einsum("iqa,jqb->ijab", given, given)


def correlated(counts: NDArray[np.int64]) -> Matrix:
    """Return S: 1 where labels come together more often than by chance, in exact arithmetic.

    `[..., options, options]`, as the counts.
    """
    ours, theirs = counts.sum(-1, keepdims=True), counts.sum(-2, keepdims=True)
    whole = ours.sum(-2, keepdims=True)
    return (counts * whole > ours * theirs).astype(float)


def _judgement(seen: LabellingObservation, scores: Matrix, memory: Any = None) -> Judgement:
    labels, weights = majority(seen.answers, seen.options)
    return Judgement(scores, labels, weights, memory)
