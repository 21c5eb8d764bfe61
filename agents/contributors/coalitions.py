"""Coalitions: sybils that take their own deposits, and labels flipped until the model agrees."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from agents.contributors.base import Contributor
from agents.labels import check_class, wrong_label
from mechanisms.plugin import PluginError, param
from mechanisms.vocabulary import Act, ContributorObservation, Offer


class SybilSelfTake(Contributor):
    """Identities of one owner: the first of them adds wrong labels, which the others report.

    The others offer what the model predicts already, so that the rule lets them report and pays
    them a share. What they take was their owner's: the attack costs the rest of the deposit.
    """

    name = "sybil-self-take"
    summary = "adds wrong labels by one identity, which report its data by the others"
    reference = "deposit, refund, take: a reporter takes deposit * n / N, its own owner's too"
    stochastic = True
    knows = frozenset({"prediction"})

    def act(self, seen: ContributorObservation) -> Act:
        if seen.label is None:
            return None
        if seen.device == min(seen.coalition, default=seen.device):
            return Offer(wrong_label(seen.label, seen.classes, seen.rng), seen.budget)
        return Offer(seen.prediction, seen.budget)


class LabelFlip(Contributor):
    """Adds flipped labels until the model agrees with them, then lives on what that turns round.

    Each time it asks the model about some samples. While most answers are not the flipped label, it
    adds one of these samples with it, at any price that it can pay. Once most are, it adds nothing
    and claims: its own data agree with the model and are refunded, good ones do not and are taken.
    """

    name = "label-flip"
    summary = "floods the model with flipped labels until it agrees, then takes the good data"
    reference = (
        "Tolpegin et al. 2020, arXiv:2007.08432, on a rule that takes the model's word for the "
        "truth"
    )
    stochastic = True
    knows = frozenset({"price", "samples"})
    examples = ({}, {"source": 1, "target": 0})

    @dataclass(frozen=True)
    class Params:
        source: int = param(-1, help="class to relabel; -1: all classes", ge=-1)
        target: int = param(-1, help="class that it becomes; -1: the next one", ge=-1)
        asked: int = param(16, help="samples that the model is asked about", ge=1, le=10_000)
        turned: float = param(
            0.8, help="share of flipped answers at which the model counts as turned", gt=0, le=1
        )

        def __post_init__(self) -> None:
            if self.source == self.target != -1:
                raise PluginError("must differ from source", "target", self.target)

    params: Params

    def act(self, seen: ContributorObservation) -> Act:
        if seen.row is None or seen.price > seen.balance:
            return None
        rows = self._drawn(seen)
        if len(rows) == 0:
            return None
        flipped = self._flipped(seen.labels[rows], seen.classes)
        resists = np.flatnonzero(seen.predict(rows.tolist()) != flipped)
        if len(rows) - len(resists) >= self.params.turned * len(rows):
            return None
        first = resists[0]
        return Offer(int(flipped[first]), max(seen.price, seen.budget), int(rows[first]))

    def _drawn(self, seen: ContributorObservation) -> NDArray[np.int64]:
        """Return rows of the class to relabel, drawn with replacement; none if it has none."""
        p = self.params
        draws = seen.rng.random(p.asked)
        if p.source < 0:
            return (draws * len(seen.labels)).astype(np.int64)
        check_class(p.source, seen.classes, "source")
        rows = np.flatnonzero(seen.labels == p.source)
        return rows[(draws * len(rows)).astype(np.int64)] if len(rows) else rows

    def _flipped(self, labels: NDArray[np.int64], classes: int) -> NDArray[np.int64]:
        target = self.params.target
        if target < 0:
            return (labels + 1) % classes
        check_class(target, classes, "target")
        return np.where(labels == target, (target + 1) % classes, target)
