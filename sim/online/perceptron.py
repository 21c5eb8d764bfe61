"""The perceptron of the contracts: fixed point, one step size, no intercept learned."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from operator import mul
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from mechanisms.plugin import param
from sim.online.base import Labels
from sim.online.linear import LinearModel
from sim.online.samples import FIRST, Rows, Samples, sums

ONE = 10**9
"""What 1 is in the contract's fixed point."""


class Perceptron(LinearModel):
    """Learns the mistakes of two classes in fixed point: 1.0 is 10^9, as in the contracts.

    Samples whose features are 0 or 1 are taken in the sparse form: m = sum of w_i over the features
    present, and a mistake adds the rate r to them for class 1 and takes it away for class 0.

    Others are taken in the dense form: each sample is scaled to unit norm and rounded to billionths
    as clients do, because the contract refuses others; m = sum of w_i x_i, and a mistake adds or
    takes away r x_i, rounded towards 0.

    Class 1 is predicted when m > 0. The intercept is never updated, in neither form, and starts
    at 0. The initial weights are learned by the same rule from the initial samples in their order,
    in `epochs` passes. All is exact; the contract's 80 bits would overflow only above 6 x 10^14.
    """

    name = "perceptron"
    summary = "perceptron in the contracts' fixed point, sparse or dense; two classes"
    reference = "0xDeCA10B SparsePerceptron and DensePerceptron; Rosenblatt 1958"
    learns_intercept: ClassVar[bool] = False

    @dataclass(frozen=True)
    class Params:
        learning_rate: float = param(1.0, help="step size r", ge=1e-9, le=4)
        epochs: int = param(5, help="passes over the initial samples", unit="epochs", ge=0)

    params: Params

    def start(self, samples: Samples, rows: Rows, labels: Labels) -> None:
        self._dense = None if samples.binary else _Dense(samples)
        self._lists = samples.lists
        super().start(samples, rows, labels)

    @property
    def follows(self) -> bool:
        return self._dense is None

    def fit(self, rows: Rows, labels: Labels) -> None:
        if self.samples.classes != 2:
            raise self._refusal(f"it knows two classes, there are {self.samples.classes}")
        rate = round(self.params.learning_rate * ONE)
        self._rates = (np.int64(-rate), np.int64(rate))
        self.load({"weights": np.zeros(self.samples.features + 1, dtype=np.int64)})
        for _ in range(self.params.epochs):
            before = self.version
            for row, label in zip(rows.tolist(), labels.tolist(), strict=True):
                self.update(row, label)
            if self.version == before:
                return

    def update(self, row: int, label: int) -> None:
        if self.predict_one(row) == label:
            return
        step = self._rates[label]
        features = self.samples.features_of(row)
        if self._dense is None:
            self.weights[features] += step
            self.steps.append((row, step))
        else:
            self.weights[features] += self._dense.multiple(row, int(step))
            self._dense.follow(self.weights)
        self.version += 1

    def predict_one(self, row: int) -> int:
        if self._dense is None:
            # As a plain integer: numbers of numpy are slow to compare.
            return 1 if sums(self.weights[self._lists[row]], FIRST).item() > 0 else 0
        return int(self._dense.above(row))

    def sent(self, row: int) -> tuple[list[int], list[int] | None] | None:
        if self._dense is None:
            return self.samples.features_of(row).tolist(), None
        scaled = self._dense.scaled
        values = scaled.values_of(row).astype(np.int64)
        return scaled.features_of(row).tolist(), values.tolist()

    def decide_one(self, score: Any) -> int:
        return 1 if score > 0 else 0

    def predict(self, rows: Rows) -> Labels:
        if self._dense is None:
            return super().predict(rows)
        return self._dense.all_above(rows)

    def load(self, state: Mapping[str, NDArray]) -> None:
        super().load(state)
        if self._dense is not None:
            self._dense.follow(self.weights)


class _Dense:
    """Signs of m = sum of w_i x_i, exact: in floats where they are far from 0, else in integers."""

    def __init__(self, samples: Samples) -> None:
        self.scaled = samples.unit_norm(ONE)
        longest = samples.sizes(0).max()
        # n products and n sums round, each by half an epsilon; ||x||_1 <= sqrt(n).
        self.slack = np.finfo(float).eps * (longest + 1) * math.sqrt(longest) * ONE

    def follow(self, weights: NDArray[np.int64]) -> None:
        """Take over the weights after a change."""
        self.weights = weights
        self.floats = weights.astype(np.float64)
        self.doubt = self.slack * float(np.abs(self.floats).max())

    def above(self, row: int) -> bool:
        """Return whether m > 0 for a row."""
        score = self.scaled.dot(self.floats, row)
        return bool(score > 0) if abs(score) > self.doubt else self._exact(row) > 0

    def all_above(self, rows: Rows) -> Labels:
        """Return for each row 1 where m > 0, else 0."""
        scores = self.scaled.dots(self.floats, rows)
        found = (scores > 0).astype(np.int64)
        for i in np.flatnonzero(np.abs(scores) <= self.doubt).tolist():
            found[i] = self._exact(int(rows[i])) > 0
        return found

    def multiple(self, row: int, step: int) -> NDArray[np.int64]:
        """Return step x_i for the features of a row, rounded towards 0."""
        product = self.scaled.values_of(row).astype(np.int64) * step
        return np.sign(product) * (np.abs(product) // ONE)

    def _exact(self, row: int) -> int:
        features = self.scaled.features_of(row)
        values = self.scaled.values_of(row).astype(np.int64)
        return sum(map(mul, self.weights[features].tolist(), values.tolist()))
