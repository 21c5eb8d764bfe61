"""What perceptrons share: a table of weights, moved by multiples of single samples."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from sim.online.base import REMEMBERED, Labels, OnlineModel, highest
from sim.online.samples import Rows, Samples, Table


def decide(scores: Table) -> Labels:
    """Return labels `int64[n]`: 1 where a score `[n]` is above 0, or the best of `[n, classes]`."""
    if scores.ndim == 1:
        return (scores > 0).astype(np.int64)
    return highest(scores)


class LinearModel(OnlineModel):
    """Base of models whose score is a weighted sum of a sample's features.

    `inputs` are the samples as the model sees them, by default as they are.
    `weights` `[features + 1]` for two classes, else `[features + 1, classes]`; the last row is the
    intercept. A step adds a multiple of one sample to the weights. `steps` are the last ones as
    (row, multiple: a number, or `[classes]`), one for each growth of `version`, the latest last.
    """

    learns_intercept: ClassVar[bool] = True
    inputs: Samples
    weights: Table

    def __init__(self, params: Any = None) -> None:
        super().__init__(params)
        self.steps: deque[tuple[int, Any]] = deque(maxlen=REMEMBERED)

    @property
    def follows(self) -> bool:
        """Whether `steps` say exactly how scores change."""
        return True

    def start(self, samples: Samples, rows: Rows, labels: Labels) -> None:
        self.inputs = samples
        super().start(samples, rows, labels)

    @property
    def exact(self) -> bool:
        """Whether scores are sums of whole numbers, which do not round."""
        return bool(np.issubdtype(self.weights.dtype, np.integer))

    def decide(self, scores: Table) -> Labels:
        """Return the labels of scores, `[n]` or `[n, classes]`."""
        return decide(scores)

    def decide_one(self, score: Any) -> int:
        """Return the label of the score of one row, a number or `[classes]`."""
        return int(self.decide(np.array([score]))[0])

    def score(self, row: int) -> Any:
        """Return the score of one row, a number or `[classes]`."""
        return self.inputs.dot(self.weights, row)

    def predict_one(self, row: int) -> int:
        return self.decide_one(self.score(row))

    def predict(self, rows: Rows) -> Labels:
        return self.decide(self.inputs.dots(self.weights, rows))

    def state(self) -> Mapping[str, NDArray]:
        return {"weights": self.weights.copy()}

    def load(self, state: Mapping[str, NDArray]) -> None:
        self.weights = np.array(state["weights"])

    def _renew(self) -> None:
        super()._renew()
        self.steps.clear()
