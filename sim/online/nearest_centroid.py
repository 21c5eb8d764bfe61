"""Nearest centroid: each class is the mean of its samples."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mechanisms.plugin import param
from sim.online.base import Labels, OnlineModel
from sim.online.samples import Rows, Samples

ROUNDING = 1e-5
"""Part of a sample's size by which its distances may be wrong, sums of many updates included."""


class NearestCentroid(OnlineModel):
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

    def start(self, samples: Samples, rows: Rows, labels: Labels) -> None:
        self._own = samples.unit_norm() if self.params.unit_norm else samples
        self._squares = self._own.sizes(2)
        super().start(samples, rows, labels)

    def fit(self, rows: Rows, labels: Labels) -> None:
        classes, features = self.samples.classes, self.samples.features
        self.load({"sums": np.zeros((features + 1, classes)), "squared": np.zeros(classes)})
        for row, label in zip(rows.tolist(), labels.tolist(), strict=True):
            self.update(row, label)

    def update(self, row: int, label: int) -> None:
        """Learn one sample; the sum of the constant feature is n_y."""
        own, squared = self._own, self._squared
        n = self._counts[label]
        inner = float(own.dot(self.sums, row)[label]) - n
        square = float(self._squares[row])
        self.sums[own.indices(row), label] += own.values(row)
        if n:
            away = square - 2 * inner / n + squared[label] / n**2
            self.moved += math.sqrt(max(away, 0.0)) / (n + 1)
        else:
            self.renewed += 1
        squared[label] += 2 * inner + square
        self._counts[label] = n + 1
        self.version += 1

    def predict_one(self, row: int) -> int:
        best, nearest = 0, math.inf
        for label, inner in enumerate(self._own.dot(self.sums, row).tolist()):
            n = self._counts[label]
            distance = self._squared[label] / n**2 - 2 * ((inner - n) / n) if n else math.inf
            if distance < nearest:
                best, nearest = label, distance
        return best

    def predict(self, rows: Rows) -> Labels:
        return self._distances(rows).argmin(1)

    def margins(self, rows: Rows) -> tuple[Labels, NDArray[np.float64]]:
        """Return labels and margins: a centroid that moves by d changes distances by d at most."""
        squares = self._squares[rows]
        distances = self._distances(rows)
        labels = distances.argmin(1)
        away = np.sqrt(np.maximum(distances + squares[:, None], 0))
        least = np.partition(away, 1, axis=1)[:, :2]
        size = np.sqrt(squares) + math.sqrt(max(self._squared))
        return labels, least[:, 1] - least[:, 0] - ROUNDING * size

    def _distances(self, rows: Rows) -> NDArray[np.float64]:
        """Return squared distances less ||x||^2, `[n, classes]`."""
        n = np.array(self._counts)
        with np.errstate(divide="ignore", invalid="ignore"):
            found = np.array(self._squared) / n**2 - 2 * ((self._own.dots(self.sums, rows) - n) / n)
        found[:, n == 0] = np.inf
        return found

    def state(self) -> Mapping[str, NDArray]:
        return {"sums": self.sums.copy(), "squared": np.array(self._squared)}

    def load(self, state: Mapping[str, NDArray]) -> None:
        self.sums = np.array(state["sums"])
        self._squared: list[float] = state["squared"].tolist()
        self._counts: list[float] = self.sums[-1].tolist()
