"""The predictions of rows that are asked for again and again while the model learns."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sim.online.base import Labels, OnlineModel


class Watch:
    """Rows in slots, whose predictions are kept as the model has them."""

    def __init__(self, model: OnlineModel) -> None:
        self._model = model
        self._rows = np.zeros(256, dtype=np.int64)
        self._labels = np.zeros(256, dtype=np.int64)
        self._done = 0
        self._version = -1

    def put(self, slot: int, row: int) -> None:
        """Watch a row in a slot, the next after those in use."""
        if slot >= len(self._rows):
            self._rows = np.concatenate([self._rows, np.zeros_like(self._rows)])
            self._labels = np.concatenate([self._labels, np.zeros_like(self._labels)])
        self._rows[slot] = row

    def drop(self, slot: int) -> None:
        """Watch a slot no more."""

    def keep(self, slots: NDArray[np.int64]) -> None:
        """Keep these slots alone, moved together in this order."""
        self._rows[: len(slots)] = self._rows[slots]
        self._done = 0

    def predictions(self, n: int) -> Labels:
        """Return `int64[n]`, the labels that the model predicts for the first n slots."""
        if self._version != self._model.version:
            self._done, self._version = 0, self._model.version
        if self._done < n:
            rows = self._rows[self._done : n]
            self._labels[self._done : n] = self._model.predict(rows)
            self._done = n
        return self._labels[:n]
