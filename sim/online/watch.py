"""Predictions of a changing set of rows, kept up to date while the model learns."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sim.online.base import Labels, OnlineModel
from sim.online.linear import LinearModel
from sim.online.naive_bayes import LogStep, NaiveBayes
from sim.online.samples import Rows, Samples, Table

NOTHING = -1
"""The row of a slot that watches nothing."""
FEW = 64
"""Slots at the start."""
GROWTH = 8
"""Part of the slots by which they grow whenever they do not suffice, but never by less than FEW."""
WIDEST = (1 << 16) - 1
"""Features up to which the samples watched are kept as columns of a matrix."""
RENEWED = 4_096
"""Steps after which scores that were added up are evaluated again, because they round."""
EPSILON = float(np.finfo(float).eps)
LEAST_SUM = 1 << 8
"""Features of a row from which a sum of bytes takes more than one."""


class Watch:
    """Predictions of the rows that are watched, always equal to `model.predict` of them.

    Few rows are all predicted again when the model has changed. Of more, a row is evaluated again
    only when its prediction may have changed: scores of a linear model and of naive Bayes are moved
    by the model's steps, of all rows at once; other models say how far scores may have moved
    (`OnlineModel.margins`). Where sums are exact, steps are followed from the first row on.

    Args:
        model: that predicts.
        few: how many rows are few.
    """

    def __init__(self, model: OnlineModel, few: int = FEW) -> None:
        self._few = few
        self._rows = np.full(few, NOTHING)
        self._labels = np.zeros(few, dtype=np.int64)
        self._free: list[int] = []
        self._used = 0
        self._new: list[int] = []
        self._model = model
        self._version, self._renewed = model.version, model.renewed
        self._keeper: _Keeper = _Whole(model)
        keeper = _evaluating(model)
        if isinstance(keeper, _Steps) and keeper.exact:
            self._evaluate()

    def __len__(self) -> int:
        return self._used - len(self._free)

    def add(self, row: int) -> int:
        """Watch a row; return its slot, the place of its prediction."""
        if self._free:
            slot = self._free.pop()
        else:
            slot = self._used
            if slot == len(self._rows):
                self._grow()
            self._used += 1
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
        self._refresh()
        return self._labels[: self._used]

    def changed(self) -> list[tuple[int, int]]:
        """Return slots with their predicted labels, those whose prediction is another one at least.

        Since the last call of this or of `predictions`.
        """
        changed = self._refresh()
        if not changed:
            return []
        labels, rows = self._labels, self._rows
        return [(slot, int(labels[slot])) for slot in changed if rows[slot] != NOTHING]

    def _refresh(self) -> list[int]:
        """Bring all predictions up to date; return the slots whose prediction changed."""
        model, keeper, changed = self._model, self._keeper, self._new
        behind = model.version - self._version
        if not (behind or changed):
            return changed
        rows, labels = self._rows, self._labels
        self._version = model.version
        if model.renewed != self._renewed or not keeper.follow(behind):
            self._renewed = model.renewed
            keeper.renew()
            changed = np.flatnonzero(rows != NOTHING).tolist()
        if changed:
            self._new = []
        return changed + keeper.update(rows, labels, changed, behind)

    def _grow(self) -> None:
        """Make place for more rows: too many to predict all of them each time."""
        more = max(self._few, len(self._rows) // GROWTH)
        self._rows = np.concatenate([self._rows, np.full(more, NOTHING)])
        self._labels = np.concatenate([self._labels, np.zeros(more, dtype=np.int64)])
        if isinstance(self._keeper, _Evaluating):
            self._keeper.grow(len(self._rows))
        else:
            self._evaluate()

    def _evaluate(self) -> None:
        """Evaluate single rows from now on."""
        self._keeper = keeper = _evaluating(self._model)
        keeper.grow(len(self._rows))
        # It knows nothing yet: every row is new to it.
        self._new = np.flatnonzero(self._rows != NOTHING).tolist()
        for slot in self._new:
            keeper.add(slot, int(self._rows[slot]))


class _Keeper(ABC):
    """What is kept of each slot, so that few predictions are made again."""

    @abstractmethod
    def add(self, slot: int, row: int) -> None:
        """Get a slot ready for a row; it is evaluated later."""

    @abstractmethod
    def drop(self, slot: int, row: int) -> None:
        """Clear a slot."""

    @abstractmethod
    def renew(self) -> None:
        """Take the model as it is; every slot is new next."""

    def follow(self, behind: int) -> bool:
        """Follow the model's last steps; return whether that was possible."""
        return True

    @abstractmethod
    def update(self, rows: Rows, labels: Labels, new: list[int], behind: int) -> list[int]:
        """Bring the labels of all slots up to date; return those that changed.

        New ones may be missing there. `behind`: by how many versions the model has gone on.
        """


class _Whole(_Keeper):
    """All slots are predicted together, whenever the model has changed."""

    def __init__(self, model: OnlineModel) -> None:
        self.model = model
        self.slots = self.watched = np.zeros(0, dtype=np.int64)
        self.before = b""

    def add(self, slot: int, row: int) -> None: ...

    def drop(self, slot: int, row: int) -> None: ...

    def renew(self) -> None: ...

    def update(self, rows: Rows, labels: Labels, new: list[int], behind: int) -> list[int]:
        if new:
            self.slots = np.flatnonzero(rows != NOTHING)
            self.watched = rows[self.slots]
            # So that the samples put their lists together only once.
            self.watched.setflags(write=False)
            self.before = b""
        if not len(self.slots):
            return []
        found = self.model.predict(self.watched)
        content = found.tobytes()
        if content == self.before:
            return []
        self.before = content
        changed = found != labels[self.slots]
        slots = self.slots[changed]
        labels[slots] = found[changed]
        return slots.tolist()


class _Evaluating(_Keeper):
    """Base of keepers that evaluate single slots."""

    @abstractmethod
    def grow(self, slots: int) -> None: ...

    def update(self, rows: Rows, labels: Labels, new: list[int], behind: int) -> list[int]:
        if new:
            self.evaluate(rows, labels, new)
        return self.refresh(rows, labels) if behind else []

    @abstractmethod
    def evaluate(self, rows: Rows, labels: Labels, slots: list[int]) -> None:
        """Predict the labels of some slots; what has been dropped since may be among them."""

    @abstractmethod
    def refresh(self, rows: Rows, labels: Labels) -> list[int]:
        """Bring the labels of all slots up to date; return those that changed."""


class _Margins(_Evaluating):
    """A slot is evaluated again when scores have moved by its margin at the last evaluation."""

    def __init__(self, model: OnlineModel) -> None:
        self.model = model
        self.until = np.zeros(0)
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

    def refresh(self, rows: Rows, labels: Labels) -> list[int]:
        if self.model.moved < self.next:
            return []
        stale = np.flatnonzero(self.until <= self.model.moved)
        before = labels[stale]
        if len(stale):
            self.evaluate(rows, labels, stale.tolist())
        self.next = self.until.min()
        changed: list[int] = stale[labels[stale] != before].tolist()
        return changed


class _Steps(_Evaluating):
    """Base of keepers that move the scores of all slots by the steps of the model.

    Sums of floats round: slots whose score is within the error of a tie are evaluated directly.

    Args:
        model: that is followed.
        samples: as the model sees them.
        table: its weights, which give shape and type of scores.
    """

    exact = False
    """Whether scores are whole numbers, which do not round."""
    intercept = True
    """Whether the model learns the weight of the constant feature."""

    def __init__(self, model: Any, samples: Samples, table: Table) -> None:
        self.model, self.samples = model, samples
        # Bytes where they do, so that the columns stay in the cache.
        kind = np.uint8 if samples.binary else np.float64
        # The last row is the constant feature's: 0 where the model learns no intercept.
        self.columns: NDArray[Any] = np.zeros((samples.features + 1, 0), dtype=kind)
        self.scores = np.zeros((0, *table.shape[1:]), dtype=table.dtype)
        self.longest = int(samples.sizes(0).max()) + 1
        self.reach = float(samples.sizes(1).max()) + 1
        self.renew()

    def grow(self, slots: int) -> None:
        columns = np.zeros((len(self.columns), slots), dtype=self.columns.dtype)
        columns[:, : self.columns.shape[1]] = self.columns
        self.column: list[NDArray[Any]] = list(columns.T)
        # The scores of a class lie side by side, so that one operation moves all of them.
        scores = np.zeros((slots, *self.scores.shape[1:]), dtype=self.scores.dtype, order="F")
        used = len(self.scores)
        scores[:used] = self.scores
        if not self.exact:
            # Slots that were never used are no ties.
            first = scores if scores.ndim == 1 else scores[:, 0]
            first[used:] = np.inf
        self.columns, self.scores = columns, scores
        self.of_class: list[NDArray[Any]] = []
        if scores.ndim == 2:
            self.of_class = list(scores.T)

    def add(self, slot: int, row: int) -> None:
        column = self.column[slot]
        column[self.samples.indices(row)] = self.samples.values(row)
        column[-1] = self.intercept

    def drop(self, slot: int, row: int) -> None:
        self.column[slot][self.samples.indices(row)] = 0

    def renew(self) -> None:
        self.steps = 0
        self.heaviest = self.weight()

    @abstractmethod
    def weight(self) -> float:
        """Return the largest absolute weight of the model; steps add to it."""

    @abstractmethod
    def move(self, step: Any) -> None:
        """Move all scores by a step of the model."""

    def follow(self, behind: int) -> bool:
        steps = self.model.steps
        self.steps += behind
        if behind > len(steps) or self.steps > RENEWED:
            return False
        for back in range(-behind, 0):
            self.move(steps[back])
        return True

    def evaluate(self, rows: Rows, labels: Labels, slots: list[int]) -> None:
        for slot in slots:
            row = int(rows[slot])
            if row != NOTHING:
                self.scores[slot] = score = self.model.score(row)
                labels[slot] = self.model.decide_one(score)

    def refresh(self, rows: Rows, labels: Labels) -> list[int]:
        scores = self.scores
        decided = self.model.decide(scores)
        if not self.exact:
            close = _lead(scores) <= 2 * self._error()
            self.evaluate(rows, decided, close.nonzero()[0].tolist())
        changed = (decided != labels).nonzero()[0]
        if not len(changed):
            return []
        labels[changed] = decided[changed]
        found: list[int] = changed.tolist()
        return found

    def _error(self) -> float:
        """Bound of the rounding of scores and weights since they were evaluated."""
        roundings = 4 * (self.steps + self.longest + 2)
        return EPSILON * roundings * self.heaviest * self.reach


class _LinearSteps(_Steps):
    """A step by c x_r moves the score of x_i by c (x_r x_i): a sum over columns moves them all."""

    def __init__(self, model: LinearModel) -> None:
        self.exact, self.intercept = model.exact, model.learns_intercept
        super().__init__(model, model.inputs, model.weights)

    def weight(self) -> float:
        return float(np.abs(self.model.weights).max())

    def move(self, step: tuple[int, Any]) -> None:
        row, multiple = step
        features = self.samples.indices(row)
        taken = self.columns.take(features, 0)
        shared: NDArray[Any]
        if self.samples.binary:
            shared = np.add.reduce(taken, 0, np.uint8 if len(features) < LEAST_SUM else np.uint16)
            shared = shared.astype(self.scores.dtype)  # once: a product of two types is slow
        else:
            shared = self.samples.values(row) @ taken
        if self.scores.ndim == 1:
            self.scores += shared * multiple
        else:
            for label in multiple.nonzero()[0].tolist():
                self.of_class[label] += shared * multiple[label]
        if not self.exact:
            self.heaviest += float(np.abs(multiple).max()) * self.samples.largest


class _LogSteps(_Steps):
    """A step of naive Bayes changes logarithms of one class, and so one score of each slot."""

    def __init__(self, model: NaiveBayes) -> None:
        self.sizes = np.zeros(0)
        super().__init__(model, model.samples, model.logs)
        # Of a count of 0, by the largest value; of the number of samples, from 1 to 2.
        largest = math.log1p(model.samples.largest / model.params.smoothing)
        self.largest_change = max(largest, math.log(2))

    def grow(self, slots: int) -> None:
        super().grow(slots)
        self.sizes = np.concatenate([self.sizes, np.zeros(slots - len(self.sizes))])

    def add(self, slot: int, row: int) -> None:
        super().add(slot, row)
        self.sizes[slot] = self.model.sizes[row]

    def weight(self) -> float:
        # Classes without samples have a logarithm of -inf: they are renewed with their first one.
        logs = np.abs(self.model.logs)
        return float(logs[np.isfinite(logs)].max()) + max(map(abs, self.model.log_totals))

    def move(self, step: LogStep) -> None:
        taken = self.columns.take(self.samples.indices(step.row), 0)
        scores = self.of_class[step.label]
        scores += step.changes @ taken.astype(np.float64, copy=False)
        scores -= step.total * self.sizes
        self.heaviest += self.largest_change + step.total


def _evaluating(model: OnlineModel) -> _Evaluating:
    """Return the keeper for many slots of a model."""
    if model.samples.features > WIDEST:
        return _Margins(model)
    if isinstance(model, NaiveBayes):
        return _LogSteps(model)
    if isinstance(model, LinearModel) and model.follows:
        return _LinearSteps(model)
    return _Margins(model)


def _lead(scores: NDArray[Any]) -> NDArray[Any]:
    """Return by how much the best score leads, or the distance of single scores from 0."""
    if scores.ndim == 1:
        return np.abs(scores)
    if scores.shape[1] == 2:
        return np.abs(scores[:, 1] - scores[:, 0])
    best = np.partition(scores, -2, axis=1)
    return best[:, -1] - best[:, -2]
