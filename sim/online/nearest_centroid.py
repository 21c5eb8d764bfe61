"""Nearest centroid: each class is the mean of its samples."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mechanisms.plugin import param
from sim.online.base import Labels, highest
from sim.online.linear import LinearModel
from sim.online.samples import Rows, Table

ROUNDING = 1e-5
"""Part of a sample's size by which its distances may be wrong, sums of many updates included."""


class NearestCentroid(LinearModel):
    """c_y <- (n_y c_y + x) / (n_y + 1); predicts the class whose centroid is nearest.

    Kept are S_y = n_y c_y and ||S_y||^2, so that an update costs the features of its sample only,
    and ||x - c||^2 = ||x||^2 - 2 S x / n + ||S||^2 / n^2. A class without samples is not predicted.
    """

    name = "nearest-centroid"
    summary = "the class whose mean is nearest, Euclidean distance"
    reference = "0xDeCA10B NearestCentroidClassifier and SparseNearestCentroidClassifier"
    examples = ({}, {"unit_norm": True})

    @dataclass(frozen=True)
    class Params:
        unit_norm: bool = param(
            False, help="scale each sample to norm 1, as the contract for dense samples demands"
        )

    params: Params

    def fit(self, rows: Rows, labels: Labels) -> None:
        if self.params.unit_norm:
            self.inputs = self.samples.unit_norm()
        self._squares = self.inputs.sizes(2)
        self._units = np.eye(self.samples.classes)
        classes, features = self.samples.classes, self.samples.features
        self.load({"sums": np.zeros((features + 1, classes)), "squared": np.zeros(classes)})
        for row, label in zip(rows.tolist(), labels.tolist(), strict=True):
            self.update(row, label)

    @property
    def follows(self) -> bool:
        return self.inputs.binary

    @property
    def exact(self) -> bool:
        return self.inputs.binary

    def update(self, row: int, label: int) -> None:
        """Learn one sample; the sum of the constant feature is n_y."""
        own, squared = self.inputs, self._squared
        n = self._counts[label]
        sums = self._of_class[label]
        inner = float(own.dot(sums, row)) - n
        square = float(self._squares[row])
        sums[own.indices(row)] += own.values(row)
        if n:
            away = square - 2 * inner / n + squared[label] / n**2
            self.moved += math.sqrt(max(away, 0.0)) / (n + 1)
        else:
            self.renewed += 1
        squared[label] += 2 * inner + square
        self._counts[label] = n + 1
        self.steps.append((row, self._units[label]))
        self.version += 1

    def decide_one(self, score: Any) -> int:
        best, nearest = 0, math.inf
        for label, inner in enumerate(score.tolist()):
            n = self._counts[label]
            distance = self._squared[label] / n**2 - 2 * ((inner - n) / n) if n else math.inf
            if distance < nearest:
                best, nearest = label, distance
        return best

    def decide(self, scores: Table) -> Labels:
        return highest(self._nearness(scores))

    def margins(self, rows: Rows) -> tuple[Labels, NDArray[np.float64]]:
        """Return labels and margins: a centroid that moves by d changes distances by d at most."""
        squares = self._squares[rows]
        nearness = self._nearness(self.inputs.dots(self.weights, rows))
        labels = highest(nearness)
        away = np.sqrt(np.maximum(squares[:, None] - nearness, 0))
        least = np.partition(away, 1, axis=1)[:, :2]
        size = np.sqrt(squares) + math.sqrt(max(self._squared))
        return labels, least[:, 1] - least[:, 0] - ROUNDING * size

    def _nearness(self, scores: Table) -> NDArray[np.float64]:
        """Return ||x||^2 less squared distances, `[n, classes]`, of S x + n."""
        n, squared = np.array(self._counts), np.array(self._squared)
        if 0 in self._counts:
            n[n == 0] = np.nan
        found: NDArray[np.float64] = scores - n
        found /= n
        found *= 2
        found -= squared / n**2
        if 0 in self._counts:
            found[:, np.isnan(n)] = -np.inf
        return found

    def state(self) -> Mapping[str, NDArray]:
        return {"sums": self.weights.copy(), "squared": np.array(self._squared)}

    def load(self, state: Mapping[str, NDArray]) -> None:
        self.weights = np.array(state["sums"])
        self._of_class: list[NDArray[np.float64]] = list(self.weights.T)
        self._squared: list[float] = state["squared"].tolist()
        self._counts: list[float] = self.weights[-1].tolist()
