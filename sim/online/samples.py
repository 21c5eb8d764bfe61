"""The samples of a market: training rows first, test rows after them, in the data's order."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sim.data.sources.base import DataError, Dataset

Rows = NDArray[np.int64]
Table = NDArray[Any]
Lists = tuple[NDArray[np.integer], NDArray[np.float64] | None, NDArray[np.integer]]
"""Lists of several rows as one: features, values (None: all are 1), where each row begins."""

sums = np.add.reduceat
"""Sums of parts of an array: quicker than `add.reduce`, for a single part too."""
FIRST = np.zeros(1, dtype=np.intp)
BLOCK = 4_096
"""Rows that are worked on at a time: what is taken for them stays in the cache."""
FEW = 256
"""Rows whose samples, zeros included, stay in the cache."""
LARGE = 1 << 26
"""Entries of the lists above which their numbers take four bytes instead of eight."""


class Samples:
    """All samples of a data set by row, as lists of the features that are not 0.

    Rows 0..train-1 are the training samples, the others the hidden test set; `y` `int64[N]` are the
    true labels. The last entry of every list is the constant feature, whose number is `features`
    and whose value is 1: a table of weights `[features + 1]` or `[features + 1, classes]` holds the
    intercept in its last row, and no list is empty.

    Memory: the samples themselves are those of the data set, not copied. The lists take 8 bytes for
    each value that is not 0, and 8 bytes more where values differ from 1.
    """

    def __init__(self, data: Dataset) -> None:
        self.name = data.name
        self.shape = data.shape
        self.classes = data.classes
        self.train = len(data.x_train)
        self.y: NDArray[np.int64] = np.concatenate([data.y_train, data.y_test])
        self._parts = [x.reshape(len(x), -1) for x in (data.x_train, data.x_test)]
        self._columns, values, counts = _lists(self._parts)
        self._offsets = np.concatenate([[0], np.cumsum(counts)])
        self._indices = _cut(self._columns, self._offsets)
        self._take(values)

    def _take(self, values: NDArray[np.floating]) -> None:
        """Take over the values of the lists."""
        self.binary = bool((values == 1).all())
        """Whether every feature is 0 or 1: present or not."""
        self._values = None if self.binary else values.astype(np.float64, copy=False)
        self._weights = [] if self._values is None else _cut(self._values, self._offsets)
        self._kept_rows: Rows | None = None

    def __len__(self) -> int:
        return len(self.y)

    @property
    def features(self) -> int:
        """How many features a sample has."""
        return self._parts[0].shape[1]

    @property
    def test_rows(self) -> Rows:
        """Rows of the hidden test set."""
        return np.arange(self.train, len(self))

    @property
    def x_train(self) -> NDArray[np.float32]:
        """Training samples `float32[train, features]`, read-only."""
        return self._parts[0]

    @cached_property
    def largest(self) -> float:
        """The largest absolute value, the constant's 1 included."""
        return 1.0 if self._values is None else float(np.abs(self._values).max())

    @cached_property
    def least(self) -> float:
        """The least value that is not 0, the constant's 1 included."""
        return 1.0 if self._values is None else float(self._values.min())

    def dense(self, rows: Rows) -> NDArray[np.float32]:
        """Return samples `float32[n, features]`, a copy."""
        found = np.empty((len(rows), self.features), dtype=np.float32)
        test = np.asarray(rows) >= self.train
        found[~test] = self._parts[0][rows[~test]]
        found[test] = self._parts[1][rows[test] - self.train]
        return found

    @property
    def lists(self) -> list[NDArray[np.integer]]:
        """The `indices` of every row, for loops that ask for many."""
        return self._indices

    def indices(self, row: int) -> NDArray[np.integer]:
        """Return the features of a row that are not 0, in order, and the constant one."""
        return self._indices[row]

    def values(self, row: int) -> Any:
        """Return the values of `indices(row)`; 1 where all of them are."""
        return 1 if self._values is None else self._weights[row]

    def features_of(self, row: int) -> NDArray[np.integer]:
        """Return `indices(row)` without the constant feature."""
        return self._indices[row][:-1]

    def values_of(self, row: int) -> Any:
        """Return the values of `features_of(row)`; 1 where all of them are."""
        return 1 if self._values is None else self._weights[row][:-1]

    def sizes(self, power: int) -> NDArray[np.float64]:
        """Return the sum of |x|^power over the features of each row that are not 0, `[N]`."""
        if self._values is None:
            return np.diff(self._offsets) - 1.0
        powers = np.abs(self._values) ** power
        return np.add.reduceat(powers, self._offsets[:-1]) - 1

    def unit_norm(self, one: int | None = None) -> Samples:
        """Return the same samples, each divided by its norm; the lists are shared.

        `one`: what 1 becomes, where values are to be whole numbers. Raises `DataError` for a sample
        that is 0 everywhere.
        """
        norms = np.sqrt(self.sizes(2))
        if not norms.all():
            row = int(norms.argmin())
            part, at = ("x_train", row) if row < self.train else ("x_test", row - self.train)
            raise DataError(f"data set {self.name!r}: {part}[{at}] is 0 everywhere: it has no norm")
        counts = np.diff(self._offsets)
        values = (1.0 if self._values is None else self._values) / np.repeat(norms, counts)
        values[self._offsets[1:] - 1] = 1
        scaled = copy.copy(self)
        for known in ("largest", "least"):
            scaled.__dict__.pop(known, None)
        scaled._take(values if one is None else np.rint(values * one))
        return scaled

    def dot(self, table: Table, row: int) -> Any:
        """Return the weighted sum of a row's features: a number, or one per column `[classes]`.

        It is added up in the order of `dots`, so that the two agree to the last bit.
        """
        # Of a single column, selecting is the faster way to take.
        features = self._indices[row]
        taken = table[features] if table.ndim == 1 else table.take(features, 0)
        if self._values is not None:
            taken = _weighted(taken, self._weights[row])
        return sums(taken, FIRST)[0]

    def dots(self, table: Table, rows: Rows) -> Table:
        """Return the weighted sums of many rows, `[n]` or `[n, classes]`.

        The lists of rows that cannot be written into are put together only once in succession.
        """
        if rows.flags.writeable:
            found = np.empty((len(rows), *table.shape[1:]), dtype=table.dtype)
            for start in range(0, len(rows), BLOCK):
                block = rows[start : start + BLOCK]
                found[start : start + BLOCK] = _summed(table, self._together(block))
            return found
        if rows is not self._kept_rows:
            self._kept_rows, self._kept = rows, self._together(rows)
        return _summed(table, self._kept)

    def _together(self, rows: Rows) -> Lists:
        """Return the lists of some rows as one: features, values, where each row begins."""
        columns, values = self._columns, self._values
        if rows[-1] - rows[0] + 1 == len(rows) and (np.diff(rows) == 1).all():
            starts = self._offsets[rows[0] : rows[-1] + 1]
            inside = slice(starts[0], self._offsets[rows[-1] + 1])
            return columns[inside], None if values is None else values[inside], starts - starts[0]
        wanted = rows.tolist()
        if values is not None:
            values = np.concatenate([self._weights[row] for row in wanted])
        counts = self._offsets[rows + 1] - self._offsets[rows]
        columns = np.concatenate([self._indices[row] for row in wanted])
        return columns, values, np.cumsum(counts) - counts


def _summed(table: Table, lists: Lists) -> Table:
    """Return the weighted sums of lists that were put together."""
    columns, values, starts = lists
    taken = table[columns] if table.ndim == 1 else table.take(columns, 0)
    if values is not None:
        taken = _weighted(taken, values)
    return sums(taken, starts)


def _cut(array: Any, offsets: Rows) -> list[Any]:
    """Return a view of each row's part."""
    return [array[start:end] for start, end in pairwise(offsets.tolist())]


def _weighted(taken: Table, values: NDArray[np.float64]) -> Table:
    return taken * (values if taken.ndim == 1 else values[:, None])


def _blocks(parts: list[NDArray[np.float32]]) -> Iterator[NDArray[np.float32]]:
    """Yield the samples in blocks."""
    for part in parts:
        for start in range(0, len(part), FEW):
            yield part[start : start + FEW]


def _lists(
    parts: list[NDArray[np.float32]],
) -> tuple[NDArray[np.integer], NDArray[np.float32], NDArray[np.int64]]:
    """Return features that are not 0, their values, and how many each row has.

    The constant feature is the last of each row.
    """
    columns, values, counts = [], [], []
    for block in _blocks(parts):
        rows, features = block.shape
        there = np.ones((rows, features + 1), dtype=bool)
        np.not_equal(block, 0, out=there[:, :-1])
        # Positions in the block as one line: five times as fast as rows and columns.
        places = np.flatnonzero(there)
        firsts = np.arange(rows) * (features + 1)
        ends = np.searchsorted(places, firsts + features, "right")
        count = np.diff(ends, prepend=0)
        # Samples have no constant feature: what is taken in its place becomes 1.
        found = block.take(places - np.repeat(np.arange(rows), count), mode="clip")
        found[ends - 1] = 1
        columns.append((places - np.repeat(firsts, count)).astype(np.int32))
        values.append(found)
        counts.append(count)
    total = sum(map(len, columns))
    number = np.intp if total < LARGE else np.int32
    return np.concatenate(columns, dtype=number), np.concatenate(values), np.concatenate(counts)
