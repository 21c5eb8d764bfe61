"""The journal of a ledger: entries of the present round as they come, older ones as columns."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple, overload

import numpy as np
import pyarrow as pa


class Entry(NamedTuple):
    """One line of the journal: `amount` base units of `asset` leave `debit` and reach `credit`."""

    time_s: float
    round: int
    debit: str
    credit: str
    asset: str
    amount: int
    reason: str


class _Texts(dict[str, int]):
    """Numbers of texts, in the order in which they came first."""

    def __missing__(self, text: str) -> int:
        self[text] = number = len(self)
        return number


class _TextColumn:
    """Texts of which few differ, as numbers of four bytes."""

    def __init__(self) -> None:
        self._texts, self._numbers = _Texts(), array("i")

    def __len__(self) -> int:
        return len(self._numbers)

    def extend(self, texts: Iterable[str]) -> None:
        """Append texts."""
        self._numbers.extend(map(self._texts.__getitem__, texts))

    def values(self, wanted: slice) -> list[str]:
        """Return some of the texts."""
        texts = list(self._texts)
        return [texts[number] for number in self._numbers[wanted]]

    def arrow(self) -> pa.Array:
        """Return all texts, a copy."""
        numbers = pa.array(np.array(self._numbers))
        return pa.DictionaryArray.from_arrays(numbers, pa.array(list(self._texts), pa.string()))


class _NumberColumn:
    """Numbers of eight bytes: "q" integers, "d" floats."""

    def __init__(self, code: str) -> None:
        self._numbers: array[Any] = array(code)

    def __len__(self) -> int:
        return len(self._numbers)

    def extend(self, numbers: Iterable[Any]) -> None:
        """Append numbers."""
        self._numbers.extend(numbers)

    def values(self, wanted: slice) -> list[Any]:
        """Return some of the numbers."""
        return self._numbers[wanted].tolist()

    def arrow(self) -> pa.Array:
        """Return all numbers, a copy."""
        return pa.array(np.array(self._numbers))


class Journal(Sequence[Entry]):
    """Entries in their order: columns of 40 bytes an entry, once `settle` has been called.

    `new` are those that came since, as tuples of all fields of an entry: `append` to it, no more.
    """

    def __init__(self, entries: Iterable[Iterable[Any]] = ()) -> None:
        self._columns: tuple[_NumberColumn | _TextColumn, ...] = (
            _NumberColumn("d"),
            _NumberColumn("q"),
            _TextColumn(),
            _TextColumn(),
            _TextColumn(),
            _NumberColumn("q"),
            _TextColumn(),
        )
        self.new: list[tuple[Any, ...]] = [tuple(Entry(*entry)) for entry in entries]
        self.settle()

    def settle(self) -> None:
        """Make columns of the new entries; every way to read them does so first."""
        for column, values in zip(self._columns, zip(*self.new, strict=True), strict=False):
            column.extend(values)
        self.new.clear()

    def arrow(self) -> dict[str, pa.Array]:
        """Return all entries as columns, a copy."""
        self.settle()
        return {n: c.arrow() for n, c in zip(Entry._fields, self._columns, strict=True)}

    def __len__(self) -> int:
        return len(self._columns[0]) + len(self.new)

    @overload
    def __getitem__(self, index: int) -> Entry: ...
    @overload
    def __getitem__(self, index: slice) -> list[Entry]: ...
    def __getitem__(self, index: int | slice) -> Entry | list[Entry]:
        if not isinstance(index, slice):
            place = range(len(self))[index]
            return self[place : place + 1][0]
        self.settle()
        values = [column.values(index) for column in self._columns]
        return [Entry(*entry) for entry in zip(*values, strict=True)]

    def __iter__(self) -> Iterator[Entry]:
        return iter(self[:])

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Journal) and self[:] == other[:]
