"""The samples of a market: training rows first, test rows after them, in the data's order."""

from __future__ import annotations

from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from sim.data.sources.base import Dataset


class Samples:
    """All samples of a data set as rows, dense, and as lists of present features.

    `x` `float32[N, features]`, `y` `int64[N]` the true labels; rows 0..train-1 are the training
    samples, the others the hidden test set.
    """

    def __init__(self, data: Dataset) -> None:
        train = data.x_train.reshape(len(data.x_train), -1)
        test = data.x_test.reshape(len(data.x_test), -1)
        self.x: NDArray[np.float32] = np.concatenate([train, test])
        self.y: NDArray[np.int64] = np.concatenate([data.y_train, data.y_test])
        self.train = len(train)
        self.classes = data.classes

    @property
    def features(self) -> int:
        """How many features a sample has."""
        return self.x.shape[1]

    @property
    def test_rows(self) -> NDArray[np.int64]:
        """Rows of the hidden test set."""
        return np.arange(self.train, len(self.x))

    @cached_property
    def binary(self) -> bool:
        """Whether every feature is 0 or 1: present or not."""
        return bool(((self.x == 0) | (self.x == 1)).all())
