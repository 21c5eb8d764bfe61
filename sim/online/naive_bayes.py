"""Multinomial naive Bayes: counts of features by class."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mechanisms.plugin import param
from sim.online.base import Labels, OnlineModel
from sim.online.samples import Rows, Samples, Table

ROUNDING = 1e-9
"""Part of a score by which it may be wrong."""


class NaiveBayes(OnlineModel):
    """Predicts argmax_c n_c prod_i ((count_ci + a) / (total_c + a F))^x_i.

    n_c samples of class c, count_ci the sum of their feature i, total_c the sum of all, F features,
    a the smoothing. An update adds its sample to the counts of its class. A class without samples
    is not predicted.
    """

    name = "naive-bayes"
    summary = "multinomial naive Bayes with smoothing, class priors from counts"
    reference = "0xDeCA10B NaiveBayesClassifier; scikit-learn MultinomialNB.partial_fit"

    @dataclass(frozen=True)
    class Params:
        smoothing: float = param(1.0, help="what is added to every count; 1: Laplace's", gt=0)

    params: Params

    def start(self, samples: Samples, rows: Rows, labels: Labels) -> None:
        self._sizes = samples.sizes(1)
        self._size = float(self._sizes.max())
        super().start(samples, rows, labels)

    def fit(self, rows: Rows, labels: Labels) -> None:
        if self.samples.least < 0:
            raise self._refusal(f"it needs features of 0 or more, one is {self.samples.least:g}")
        classes, features = self.samples.classes, self.samples.features
        self.load({"counts": np.zeros((classes, features + 1))})
        for row, label in zip(rows.tolist(), labels.tolist(), strict=True):
            self.update(row, label)

    def update(self, row: int, label: int) -> None:
        """Learn one sample; the count of the constant feature is n_c."""
        samples, counts, logs = self.samples, self._counts[label], self._logs[label]
        features = samples.indices(row)
        before = counts.take(features)
        counts[features] = after = before + samples.values(row)
        n, size = float(before[-1]), float(self._sizes[row])
        changed = np.log(after + self.params.smoothing)
        changed[-1] = math.log(n + 1)
        if n:
            risen = float(np.add.reduce(changed - logs[features]))
            fallen = math.log1p(size / self._totals[label])
            self.moved += max(self.samples.largest * risen, self._size * fallen)
        else:
            self.renewed += 1
        logs[features] = changed
        self._totals[label] += size
        self.version += 1

    def predict_one(self, row: int) -> int:
        size, best, highest = float(self._sizes[row]), 0, -math.inf
        for label, score in enumerate(self.samples.dot(self.logs, row).tolist()):
            score -= size * math.log(self._totals[label])
            if score > highest:
                best, highest = label, score
        return best

    def predict(self, rows: Rows) -> Labels:
        return self._scores(rows).argmax(1)

    def margins(self, rows: Rows) -> tuple[Labels, NDArray[np.float64]]:
        """Return labels and margins: an update moves the score of its class alone."""
        scores = self._scores(rows)
        best = np.partition(scores, -2, axis=1)[:, -2:]
        slack = ROUNDING * (1 + np.abs(best[:, 1]))
        return scores.argmax(1), best[:, 1] - best[:, 0] - slack

    def _scores(self, rows: Rows) -> Table:
        """Return logarithms of the posterior up to a constant, `[n, classes]`."""
        totals = np.array([math.log(total) for total in self._totals])
        return self.samples.dots(self.logs, rows) - self._sizes[rows, None] * totals

    def state(self) -> Mapping[str, NDArray]:
        return {"counts": np.array(self._counts)}

    def load(self, state: Mapping[str, NDArray]) -> None:
        smoothing, features = self.params.smoothing, self.samples.features
        self._counts = [np.array(counts) for counts in state["counts"]]
        self._totals = [float(c[:-1].sum()) + smoothing * features for c in self._counts]
        self.logs = np.empty((features + 1, len(self._counts)))
        self._logs = [self.logs[:, label] for label in range(len(self._counts))]
        for counts, logs in zip(self._counts, self._logs, strict=True):
            logs[:-1] = np.log(counts[:-1] + smoothing)
            logs[-1] = math.log(counts[-1]) if counts[-1] else -math.inf
