"""Predictions of a changing set of rows, kept up to date while the model learns."""

from __future__ import annotations

from abc import ABC, abstractmethod
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sim.online.base import Labels, OnlineModel
from sim.online.linear import LinearModel
from sim.online.samples import Rows

NOTHING = -1
"""The row of a slot that watches nothing."""
FEW = 64
"""Slots at the start; there are twice as many whenever they do not suffice."""
WIDEST = (1 << 16) - 1
"""Features up to which the samples watched are kept as columns of a matrix."""
RENEWED = 4_096
"""Steps after which scores that were added up are evaluated again, because they round."""
EPSILON = float(np.finfo(float).eps)
LEAST_SUM = 1 << 8
"""Features of a row from which a sum of bytes takes more than one."""


class Watch:
    """Predictions of the rows that are watched, always equal to `model.predict` of them.

    A row is evaluated again only when its prediction may have changed. Scores of a linear model are
    moved by its steps, of all rows at once; other models say how far scores may have moved
    (`OnlineModel.margins`).
    """

    def __init__(self, model: OnlineModel) -> None:
        self._rows = np.full(FEW, NOTHING)
        self._labels = np.zeros(FEW, dtype=np.int64)
        self._free: list[int] = []
        self._used = 0
        self._new: list[int] = []
        self._model = model
        self._version, self._renewed = model.version, model.renewed
        self._keeper: _Keeper = _Margins(model)
        if isinstance(model, LinearModel) and model.follows and model.inputs.features <= WIDEST:
            self._keeper = _Steps(model)

    def __len__(self) -> int:
        return self._used - len(self._free)

    def add(self, row: int) -> int:
        """Watch a row; return its slot, the place of its prediction."""
        if self._free:
            slot = self._free.pop()
        else:
            slot = self._used
            self._used += 1
            if slot == len(self._rows):
                self._grow()
        self._rows[slot] = row
        self._keeper.add(slot, row)
        self._new.append(slot)
        return slot

    def drop(self, slot: int) -> None:
        """Watch a slot's row no longer; a later row may get the slot."""
        self._keeper.drop(slot, int(self._rows[slot]))
        self._rows[slot] = NOTHING
        self._free.append(slot)

    def predictions(self) -> Labels:
        """Return the predicted label of every slot, `int64[slots]`; anything where none is watched.

        The array is to be read before the next call, which changes it in place.
        """
        if self._new or self._version != self._model.version:
            self._refresh()
        return self._labels[: self._used]

    def _refresh(self) -> None:
        model, keeper = self._model, self._keeper
        rows, labels = self._rows[: self._used], self._labels[: self._used]
        behind = model.version - self._version
        self._version = model.version
        if model.renewed != self._renewed or not keeper.follow(behind):
            self._renewed = model.renewed
            keeper.renew()
            self._new = np.flatnonzero(rows != NOTHING).tolist()
        if self._new:
            keeper.evaluate(rows, labels, self._new)
            self._new.clear()
        if behind:
            keeper.refresh(rows, labels)

    def _grow(self) -> None:
        self._rows = np.concatenate([self._rows, np.full(len(self._rows), NOTHING)])
        self._labels = np.concatenate([self._labels, np.zeros_like(self._labels)])
        self._keeper.grow(len(self._rows))


class _Keeper(ABC):
    """What is kept of each slot, so that few predictions are made again."""

    @abstractmethod
    def grow(self, slots: int) -> None: ...

    @abstractmethod
    def add(self, slot: int, row: int) -> None:
        """Get a slot ready for a row; it is evaluated later."""

    @abstractmethod
    def drop(self, slot: int, row: int) -> None: ...

    @abstractmethod
    def renew(self) -> None:
        """Take the model as it is; every slot is evaluated next."""

    def follow(self, behind: int) -> bool:
        """Follow the model's last steps; return whether that was possible."""
        return True

    @abstractmethod
    def evaluate(self, rows: Rows, labels: Labels, slots: list[int]) -> None:
        """Predict the labels of some slots; what has been dropped since may be among them."""

    @abstractmethod
    def refresh(self, rows: Rows, labels: Labels) -> None:
        """Bring the labels of all other slots up to date."""


class _Margins(_Keeper):
    """A slot is evaluated again when scores have moved by its margin at the last evaluation."""

    def __init__(self, model: OnlineModel) -> None:
        self.model = model
        self.until = np.full(FEW, np.inf)
        self.next = np.inf

    def grow(self, slots: int) -> None:
        self.until = np.concatenate([self.until, np.full(slots - len(self.until), np.inf)])

    def add(self, slot: int, row: int) -> None:
        self.until[slot] = np.inf

    def drop(self, slot: int, row: int) -> None:
        self.until[slot] = np.inf

    def renew(self) -> None:
        self.until[:] = np.inf

    def evaluate(self, rows: Rows, labels: Labels, slots: list[int]) -> None:
        watched = np.array(slots)
        watched = watched[rows[watched] != NOTHING]
        if len(watched):
            labels[watched], margins = self.model.margins(rows[watched])
            until = self.model.moved + margins
            self.until[watched] = until
            self.next = min(self.next, until.min())

    def refresh(self, rows: Rows, labels: Labels) -> None:
        if self.model.moved < self.next:
            return
        stale = np.flatnonzero(self.until <= self.model.moved)
        if len(stale):
            self.evaluate(rows, labels, stale.tolist())
        self.next = self.until.min()


class _Steps(_Keeper):
    """A step by c x_r moves the score of x_i by c (x_r x_i): one sum over columns moves them all.

    Sums of floats round: slots whose score is within the error of a tie are evaluated directly.
    """

    def __init__(self, model: LinearModel) -> None:
        samples = model.inputs
        self.model, self.samples = model, samples
        self.intercept = int(model.learns_intercept)
        self.exact = model.exact
        kind = np.uint8 if samples.binary else np.float64
        self.columns = np.zeros((samples.features, FEW), dtype=kind)
        self.scores = np.zeros((FEW, *model.weights.shape[1:]), dtype=model.weights.dtype)
        self.longest = int(samples.sizes(0).max()) + 1
        self.reach = float(samples.sizes(1).max()) + 1
        self.renew()

    def grow(self, slots: int) -> None:
        columns = np.zeros((self.samples.features, slots), dtype=self.columns.dtype)
        columns[:, : self.columns.shape[1]] = self.columns
        scores = np.zeros((slots, *self.scores.shape[1:]), dtype=self.scores.dtype)
        scores[: len(self.scores)] = self.scores
        self.columns, self.scores = columns, scores

    def add(self, slot: int, row: int) -> None:
        self.columns[self.samples.features_of(row), slot] = self.samples.values_of(row)

    def drop(self, slot: int, row: int) -> None:
        self.columns[self.samples.features_of(row), slot] = 0

    def renew(self) -> None:
        self.steps = 0
        self.heaviest = float(np.abs(self.model.weights).max())

    def follow(self, behind: int) -> bool:
        steps = self.model.steps
        self.steps += behind
        if behind > len(steps) or self.steps > RENEWED:
            return False
        for row, multiple in islice(steps, len(steps) - behind, None):
            self._move(row, multiple)
        return True

    def _move(self, row: int, multiple: Any) -> None:
        features = self.samples.features_of(row)
        taken = self.columns.take(features, 0)
        shared: NDArray[Any]
        if self.samples.binary:
            shared = np.add.reduce(taken, 0, np.uint8 if len(features) < LEAST_SUM else np.uint16)
        else:
            shared = self.samples.values_of(row) @ taken
        change = np.multiply.outer(shared, multiple) + self.intercept * multiple
        self.scores += change
        if not self.exact:
            self.heaviest += float(np.abs(multiple).max()) * self.samples.largest

    def evaluate(self, rows: Rows, labels: Labels, slots: list[int]) -> None:
        weights, samples = self.model.weights, self.samples
        for slot in slots:
            row = int(rows[slot])
            if row != NOTHING:
                self.scores[slot] = samples.dot(weights, row)
                labels[slot] = self.model.predict_one(row)

    def refresh(self, rows: Rows, labels: Labels) -> None:
        scores = self.scores[: len(rows)]
        labels[:] = self.model.decide(scores)
        if self.exact:
            return
        close = np.flatnonzero(_lead(scores) <= 2 * self._error())
        if len(close):
            self.evaluate(rows, labels, close.tolist())

    def _error(self) -> float:
        """Bound of the rounding of scores and weights since they were evaluated."""
        roundings = 4 * (self.steps + self.longest + 2)
        return EPSILON * roundings * self.heaviest * self.reach


def _lead(scores: NDArray[Any]) -> NDArray[Any]:
    """Return by how much the best score leads, or the distance of single scores from 0."""
    if scores.ndim == 1:
        return np.abs(scores)
    best = np.partition(scores, -2, axis=1)
    return best[:, -1] - best[:, -2]
