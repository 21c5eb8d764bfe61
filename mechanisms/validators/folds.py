"""The threshold vote on several parts of the validator's samples."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mechanisms.plugin import param
from mechanisms.validators.base import ROUNDING, ValidationRule
from mechanisms.vocabulary import ValidationObservation


class Folds(ValidationRule):
    """Accepts when A_f(baseline) - A_f(update) <= threshold in at least half of the folds f.

    Fold f holds every k-th sample; stratified: every k-th of each class.
    """

    name = "folds"
    summary = "the threshold vote, by majority of (stratified) folds"
    reference = "DecentralML grant: validators use k-fold and stratified sampling"
    observes = frozenset({"samples"})
    examples = ({}, {"stratified": False, "folds": 2, "threshold": 0.0})

    @dataclass(frozen=True)
    class Params:
        folds: int = param(5, help="parts of the samples; at most one per sample", ge=2, le=1_000)
        stratified: bool = param(True, help="every class spread over all folds alike")
        threshold: float = param(
            0.08, help="largest accepted accuracy deficit of a fold", unit="accuracy", ge=0, le=1
        )
        baseline_epochs: int = param(
            1,
            help="local epochs of the validator's own model; -1: as many as workers",
            ge=-1,
            le=10_000,
        )

    params: Params

    @property
    def baseline_epochs(self) -> int:
        return self.params.baseline_epochs

    def used(self, n: int) -> Mapping[str, int]:
        return {"folds": min(self.params.folds, n)}

    def verdicts(self, seen: ValidationObservation) -> NDArray[np.bool_]:
        k = self.used(len(seen.labels))["folds"]
        fold = np.arange(len(seen.labels)) % k
        if self.params.stratified:
            order = np.argsort(seen.labels, kind="stable")
            fold[order] = np.arange(len(seen.labels)) % k
        bad = np.zeros(len(seen.workers))
        for f in range(k):
            accuracy = seen.correct[:, fold == f].mean(axis=1)
            bad += accuracy[0] - accuracy[1:] > self.params.threshold + ROUNDING
        return bad <= k / 2
