"""Nearest centroid: each class is the mean of its samples."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from sim.online.base import Labels, OnlineModel


class NearestCentroid(OnlineModel):
    """c_y <- (n_y c_y + x) / (n_y + 1); predicts the class whose centroid is nearest."""

    name = "nearest-centroid"
    summary = "the class whose mean is nearest, Euclidean distance"
    reference = "0xDeCA10B NearestCentroidClassifier"

    def fit(self, rows: NDArray[np.int64], labels: Labels) -> None:
        classes, features = self.samples.classes, self.samples.features
        self.centroids = np.zeros((classes, features))
        self.counts = np.zeros(classes, dtype=np.int64)
        for row, label in zip(rows.tolist(), labels.tolist(), strict=True):
            self.update(row, label)

    def update(self, row: int, label: int) -> None:
        n = self.counts[label]
        self.centroids[label] = (n * self.centroids[label] + self.samples.x[row]) / (n + 1)
        self.counts[label] = n + 1
        self.version += 1

    def predict(self, rows: NDArray[np.int64]) -> Labels:
        x = self.samples.x[rows].astype(np.float64)
        squared = (self.centroids**2).sum(1)
        distance = squared - 2 * x @ self.centroids.T
        distance[:, self.counts == 0] = np.inf
        return distance.argmin(1)

    def state(self) -> Mapping[str, NDArray]:
        return {"centroids": self.centroids.copy(), "counts": self.counts.copy()}

    def restore(self, state: Mapping[str, NDArray]) -> None:
        self.centroids = np.array(state["centroids"])
        self.counts = np.array(state["counts"])
        self.version += 1
