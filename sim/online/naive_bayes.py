"""Multinomial naive Bayes: counts of features by class."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mechanisms.plugin import param
from sim.online.base import REMEMBERED, Labels, OnlineModel, highest
from sim.online.samples import Rows, Samples, Table


class LogStep(NamedTuple):
    """How an update changed the scores: of one class alone.

    row, label   that were learned
    changes      of the logarithms of the row's features, `float64` as long as its `indices`
    total        change of the logarithm of the class's total
    """

    row: int
    label: int
    changes: NDArray[np.float64]
    total: float


class NaiveBayes(OnlineModel):
    """Predicts argmax_c n_c prod_i ((count_ci + a) / (total_c + a F))^x_i.

    n_c samples of class c, count_ci the sum of their feature i, total_c the sum of all, F features,
    a the smoothing. An update adds its sample to the counts of its class. A class without samples
    is not predicted. `steps` are the last updates, one for each growth of `version`, the latest
    last.
    """

    name = "naive-bayes"
    summary = "multinomial naive Bayes with smoothing, class priors from counts"
    reference = "0xDeCA10B NaiveBayesClassifier; scikit-learn MultinomialNB.partial_fit"

    @dataclass(frozen=True)
    class Params:
        smoothing: float = param(1.0, help="what is added to every count; 1: Laplace's", gt=0)

    params: Params

    def start(self, samples: Samples, rows: Rows, labels: Labels) -> None:
        self.sizes = samples.sizes(1)
        self.steps: deque[LogStep] = deque(maxlen=REMEMBERED)
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
        n, size = float(before[-1]), float(self.sizes[row])
        changed = np.log(after + self.params.smoothing)
        changed[-1] = math.log(n + 1)
        if not n:
            self.renewed += 1  # its scores were -inf
        total_before = self.log_totals[label]
        self._totals[label] += size
        self.log_totals[label] = total = math.log(self._totals[label])
        changes = changed - logs[features]
        self.steps.append(LogStep(row, label, changes, total - total_before))
        logs[features] = changed
        self.version += 1

    def predict_one(self, row: int) -> int:
        size, best, highest = float(self.sizes[row]), 0, -math.inf
        for label, score in enumerate(self.samples.dot(self.logs, row).tolist()):
            score -= size * self.log_totals[label]
            if score > highest:
                best, highest = label, score
        return best

    def predict(self, rows: Rows) -> Labels:
        return self.decide(self._scores(rows))

    def score(self, row: int) -> Table:
        """Return logarithms of the posterior of a row up to a constant, `[classes]`."""
        return self.samples.dot(self.logs, row) - self.sizes[row] * np.array(self.log_totals)

    def decide(self, scores: Table) -> Labels:
        """Return the labels `int64[n]` of scores `[n, classes]`."""
        return highest(scores)

    def decide_one(self, score: Table) -> int:
        """Return the label of a score `[classes]`."""
        return int(score.argmax())

    def _scores(self, rows: Rows) -> Table:
        """Return the scores of several rows, `[n, classes]`."""
        sizes = self.sizes[rows, None]
        return self.samples.dots(self.logs, rows) - sizes * np.array(self.log_totals)

    def state(self) -> Mapping[str, NDArray]:
        return {"counts": np.array(self._counts)}

    def load(self, state: Mapping[str, NDArray]) -> None:
        smoothing, features = self.params.smoothing, self.samples.features
        self._counts = [np.array(counts) for counts in state["counts"]]
        self._totals = [float(c[:-1].sum()) + smoothing * features for c in self._counts]
        self.log_totals = [math.log(total) for total in self._totals]
        self.logs = np.empty((features + 1, len(self._counts)))
        self._logs = [self.logs[:, label] for label in range(len(self._counts))]
        for counts, logs in zip(self._counts, self._logs, strict=True):
            logs[:-1] = np.log(counts[:-1] + smoothing)
            logs[-1] = math.log(counts[-1]) if counts[-1] else -math.inf
