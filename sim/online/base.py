"""An on-line model learns one sample at a time, as a contract would."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from mechanisms.plugin import Plugin
from sim.online.samples import Samples

Labels = NDArray[np.int64]


class OnlineModel(Plugin, ABC):
    """Base of on-line models: `start`, then `update` and `predict` by row of the samples.

    One object is one model. `version` grows whenever predictions may have changed.
    """

    samples: Samples
    version: int = 0

    def start(self, samples: Samples, rows: NDArray[np.int64], labels: Labels) -> None:
        """Fit the model to its initial samples: `rows` `int64[n]` and their labels `int64[n]`.

        Raises `DataError` for samples that this model cannot take, in a message that says why.
        """
        self.samples = samples
        self.fit(rows, labels)

    @abstractmethod
    def fit(self, rows: NDArray[np.int64], labels: Labels) -> None:
        """Fit the model to the initial samples; what it had learned before is forgotten."""

    @abstractmethod
    def update(self, row: int, label: int) -> None:
        """Learn one sample."""

    @abstractmethod
    def predict(self, rows: NDArray[np.int64]) -> Labels:
        """Return the labels `int64[n]` that the model predicts for rows `int64[n]`."""

    def predict_one(self, row: int) -> int:
        """Return the label that the model predicts for one row."""
        return int(self.predict(np.array([row]))[0])

    def accuracy(self, rows: NDArray[np.int64], labels: Labels) -> float:
        """Return the share of rows whose predicted label is the given one."""
        return float((self.predict(rows) == labels).mean())

    @abstractmethod
    def state(self) -> Mapping[str, NDArray]:
        """Return all that the model has learned, by name: a copy."""

    @abstractmethod
    def restore(self, state: Mapping[str, NDArray]) -> None:
        """Continue from `state`; `start` was called on the same samples."""

    def digest(self) -> str:
        """Return the SHA-256 of the state: names, types, shapes and bytes, in order of names."""
        found = hashlib.sha256()
        for name, array in sorted(self.state().items()):
            found.update(f"{name}{array.dtype.str}{array.shape}".encode())
            found.update(np.ascontiguousarray(array).tobytes())
        return found.hexdigest()
