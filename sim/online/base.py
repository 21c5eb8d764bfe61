"""An on-line model learns one sample at a time, as a contract would."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mechanisms.plugin import Plugin
from sim.data.sources.base import DataError
from sim.online.samples import Rows, Samples

Labels = NDArray[np.int64]
REMEMBERED = 256
"""Steps that a model remembers for those who follow it."""


def highest(scores: NDArray[Any]) -> Labels:
    """Return the class with the highest of its scores `[n, classes]` for each row, `int64[n]`.

    Of equal ones the lowest class.
    """
    if scores.shape[1] == 2:
        # A tenth of the time that `argmax` takes for rows of two.
        return (scores[:, 1] > scores[:, 0]).astype(np.int64)
    return scores.argmax(1)


class OnlineModel(Plugin, ABC):
    """Base of on-line models: `start`, then `update` and `predict` by row of the samples.

    One object is one model. Of classes with equal scores the lowest is predicted.

    version   grows whenever predictions may have changed
    renewed   how often the model was replaced as a whole, by `start` or `restore`
    moved     no score has changed by more, relative to another, since the model was renewed; a
              model without such a bound leaves it at 0
    """

    samples: Samples
    version: int = 0
    renewed: int = 0
    moved: float = 0.0

    def start(self, samples: Samples, rows: Rows, labels: Labels) -> None:
        """Fit the model to its initial samples: `rows` `int64[n]` and their labels `int64[n]`.

        What it had learned before is forgotten. Raises `DataError` for samples that this model
        cannot take, in a message that says why.
        """
        self.samples = samples
        self._renew()
        self.fit(rows, labels)

    def restore(self, state: Mapping[str, NDArray]) -> None:
        """Continue from `state`; `start` was called on the same samples."""
        self._renew()
        self.load(state)

    @abstractmethod
    def fit(self, rows: Rows, labels: Labels) -> None:
        """Fit the model to the initial samples; see `start`, which calls it."""

    @abstractmethod
    def update(self, row: int, label: int) -> None:
        """Learn one sample."""

    @abstractmethod
    def predict(self, rows: Rows) -> Labels:
        """Return the labels `int64[n]` that the model predicts for rows `int64[n]`."""

    def predict_one(self, row: int) -> int:
        """Return the label that the model predicts for one row."""
        return int(self.predict(np.array([row]))[0])

    def sent(self, row: int) -> tuple[list[int], list[int] | None] | None:
        """Return a sample as a contract is sent it: features, values (None: all are 1).

        None: no contract computes this model.
        """
        return None

    def accuracy(self, rows: Rows, labels: Labels) -> float:
        """Return the share of rows whose predicted label is the given one."""
        return float((self.predict(rows) == labels).mean())

    def margins(self, rows: Rows) -> tuple[Labels, NDArray[np.float64]]:
        """Return the predicted labels, and how far `moved` can grow before each may change."""
        return self.predict(rows), np.zeros(len(rows))

    @abstractmethod
    def state(self) -> Mapping[str, NDArray]:
        """Return all that the model has learned, by name: a copy."""

    @abstractmethod
    def load(self, state: Mapping[str, NDArray]) -> None:
        """Take over a state; see `restore`, which calls it."""

    def digest(self) -> str:
        """Return the SHA-256 of the state: names, types, shapes and bytes, in order of names."""
        found = hashlib.sha256()
        for name, array in sorted(self.state().items()):
            found.update(f"{name}{array.dtype.str}{array.shape}".encode())
            found.update(np.ascontiguousarray(array).tobytes())
        return found.hexdigest()

    def _renew(self) -> None:
        self.version += 1
        self.renewed += 1
        self.moved = 0.0

    def _refusal(self, reason: str) -> DataError:
        """Return the error for samples that this model cannot take."""
        return DataError(f"on-line model {self.name!r}, data set {self.samples.name!r}: {reason}")
