"""The perceptron of the simulator: stochastic gradient descent whose steps become smaller."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mechanisms.plugin import param
from sim.online.base import Labels
from sim.online.linear import LinearModel
from sim.online.samples import Rows


class SgdPerceptron(LinearModel):
    """Learns a sample that it does not predict strictly: w += eta_t y x, b += eta_t y, y = +-1.

    eta_t = 1 / (alpha (t_0 + t - 1)) with t_0 = 1 / sqrt(alpha)^(3/2), which is 1,000 for
    alpha = 1e-4: 10 at first, 5 at t = 1,000, 0.38 at t = 25,000. t counts every sample of every
    epoch of the initial fit and every update, mistakes or not. More than two classes are learned
    one against the rest. The initial fit is scikit-learn's own, on dense float64 samples, stopping
    rule and shuffling included; updates equal its `partial_fit`.
    """

    name = "sgd-perceptron"
    summary = "perceptron with decreasing steps, as scikit-learn's SGDClassifier(loss='perceptron')"
    reference = "0xDeCA10B simulation, perceptron; scikit-learn SGDClassifier, 'optimal' rate"
    stochastic = True

    @dataclass(frozen=True)
    class Params:
        alpha: float = param(1e-4, help="the smaller, the larger the steps", gt=0)
        epochs: int = param(1_000, help="most epochs of the initial fit", unit="epochs", ge=1)
        tolerance: float = param(
            1e-3,
            help="the initial fit stops after five epochs that improve the loss by less",
            ge=0,
        )
        seed: int = param(0xDECA10B, help="seed of the initial fit's shuffling", ge=0, lt=2**32)

    params: Params

    def fit(self, rows: Rows, labels: Labels) -> None:
        from sklearn.linear_model import SGDClassifier

        missing = sorted(set(range(self.samples.classes)) - set(labels.tolist()))
        if missing:
            raise self._refusal(f"none of the initial samples is of class {missing[0]}; take more")
        p = self.params
        fitted = SGDClassifier(
            loss="perceptron",
            learning_rate="optimal",
            penalty=None,
            alpha=p.alpha,
            max_iter=p.epochs,
            tol=p.tolerance,
            random_state=p.seed,
        ).fit(self.samples.dense(rows).astype(np.float64), labels)
        weights = np.vstack([fitted.coef_.T, fitted.intercept_])
        self.weights = weights[:, 0].copy() if self.samples.classes == 2 else weights
        self.seen = int(fitted.t_)

    @property
    def rate(self) -> float:
        """The size of the next step."""
        alpha = self.params.alpha
        first = 1 / math.sqrt(1 / math.sqrt(alpha)) / alpha
        return 1 / (alpha * (first + self.seen - 1))

    def update(self, row: int, label: int) -> None:
        score = self.samples.dot(self.weights, row)
        if self.weights.ndim == 1:
            if (score <= 0) if label else (score >= 0):
                self._step(row, self.rate if label else -self.rate)
        else:
            signs = np.where(np.arange(len(score)) == label, 1, -1)
            signs[signs * score > 0] = 0
            if signs.any():
                self._step(row, self.rate * signs)
        self.seen += 1

    def _step(self, row: int, multiple: Any) -> None:
        """Add a multiple of a sample: a number, or one for each class."""
        samples = self.samples
        if samples.classes == 2:
            change = multiple * samples.values(row)
        else:
            change = np.multiply.outer(samples.values(row), multiple)
        self.weights[samples.indices(row)] += change
        self.steps.append((row, multiple))
        self.version += 1

    def predict_one(self, row: int) -> int:
        score = self.samples.dot(self.weights, row)
        return int(score > 0) if self.weights.ndim == 1 else int(score.argmax())

    def state(self) -> Mapping[str, NDArray]:
        return {"weights": self.weights.copy(), "seen": np.array(self.seen)}

    def load(self, state: Mapping[str, NDArray]) -> None:
        super().load(state)
        self.seen = int(state["seen"])
