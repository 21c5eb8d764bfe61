"""Recorded tables: their declaration, and the recorder that fills them in memory."""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import pyarrow as pa

from sim.clock import Clock

INTEGER, NUMBER, TRUTH = pa.int64(), pa.float64(), pa.bool_()
TEXT, BYTES = pa.dictionary(pa.int32(), pa.string()), pa.large_binary()
INTEGERS = pa.list_(INTEGER)
BLOCK = 1_024
"""Rows that are made columns together: what is taken for them stays in the cache."""


class Column(NamedTuple):
    """One column: its type, and what it means (units included) for the documentation."""

    type: pa.DataType
    meaning: str = ""


Columns = Mapping[str, Column]


class History(NamedTuple):
    """What was added to a record that only ever grows, and a mark: where to go on next time.

    Rows are JSON values; those that were given once never change.
    """

    rows: Sequence[Any]
    mark: int


@dataclass(frozen=True)
class Table:
    """One table: what a row stands for, its columns, and when it is written ("": in every run)."""

    row: str
    columns: Columns
    only: str = ""

    def with_columns(self, more: Columns) -> Table:
        """Return the table with more columns."""
        return replace(self, columns={**self.columns, **more})


CORE: Mapping[str, Table] = {
    "rounds": Table(
        "round",
        {
            "round": Column(INTEGER, "1, 2, ..."),
            "start_s": Column(NUMBER, "when it began"),
            "end_s": Column(NUMBER, "when it ended"),
            "duration_s": Column(NUMBER, "how long it took"),
            "issued": Column(INTEGER, "base units created"),
            "burned": Column(
                INTEGER,
                "base units destroyed: taken back when chains were reorganised, slashed, paid for "
                "identities and fees",
            ),
        },
    ),
    "participants": Table(
        "round and device",
        {
            "round": Column(INTEGER, "which round"),
            "device": Column(INTEGER, "number of the participant"),
            "group": Column(TEXT, "`honest`, or the name of its adversary group"),
            "adversary": Column(TRUTH, "whether it is in an adversary group"),
            "role": Column(TEXT, "null: shut out, not admitted by the payout rule, or not in play"),
            "strategy": Column(TEXT, "its behaviour at present in the first role of the protocol"),
            "online": Column(TRUTH, "whether it was there at the round's start"),
            "income": Column(INTEGER, "change of the paid asset in the round"),
            "cost": Column(
                NUMBER, "what its work cost it beside the ledger, in base units: computing, storing"
            ),
            "benefit": Column(NUMBER, "what the round was worth to it beside its income"),
            "utility": Column(NUMBER, "`income` + change of `locked` - `cost` + `benefit`"),
            "balance": Column(INTEGER, "amount of the paid asset at the round's end"),
            "locked": Column(
                INTEGER,
                "what the rule holds for it at the round's end: stakes and deposits that may come "
                "back",
            ),
        },
    ),
    "journal": Table(
        "ledger entry",
        {
            "index": Column(INTEGER, "order of the entries"),
            "time_s": Column(NUMBER, "when; never runs backwards"),
            "round": Column(INTEGER, "in which round; what is given back at the end: one more"),
            "debit": Column(TEXT, "account that pays: `device:N`, `escrow:NAME`, `issuance`"),
            "credit": Column(TEXT, "account that is paid: `device:N`, `escrow:NAME`, `burn`"),
            "asset": Column(TEXT, "name of the asset"),
            "amount": Column(INTEGER, "base units"),
            "reason": Column(TEXT, "`initial`, `reward.*`, `reorg.*`, ..."),
        },
    ),
    "incidents": Table(
        "act that was refused",
        {
            "round": Column(INTEGER, "which round"),
            "time_s": Column(NUMBER, "when"),
            "device": Column(INTEGER, "who did it"),
            "witness": Column(INTEGER, "who refused it; null: the contract or the server"),
            "kind": Column(TEXT, "what it did"),
        },
    ),
}
"""The tables of every run. Times are simulated seconds, amounts base units. Null: does not apply.
"""


class Recorder:
    """Columns in memory until the run ends.

    A table that is not among the given ones is not recorded.
    """

    def __init__(self, tables: Mapping[str, Table]) -> None:
        self.schema = dict(tables)
        self._columns: dict[str, dict[str, list[Any]]] = {}
        self._logs: dict[str, list[tuple[Any, ...]]] = {name: [] for name in tables}
        for name, table in tables.items():
            self._columns[name] = {column: [] for column in table.columns}

    def records(self, table: str) -> bool:
        """Return whether a table is recorded."""
        return table in self.schema

    def add(self, table: str, rows: Iterable[Mapping[str, Any]]) -> None:
        """Append rows; every row names every column of the table (None where it does not apply)."""
        if table not in self.schema:
            return
        columns = self.columns(table)
        for row in rows:
            if row.keys() != columns.keys():
                differing = ", ".join(sorted(row.keys() ^ columns.keys()))
                raise KeyError(f"{table}: columns {differing} do not match the declared ones")
            for name, value in row.items():
                columns[name].append(value)

    def log(self, table: str) -> list[tuple[Any, ...]]:
        """Return a list to append rows to: tuples of all columns in their order.

        For tables of 10^5 rows, ten times as fast as `add`. Only `append` to it; it holds the rows
        of the present round, until `end_round` makes columns of them.
        """
        return self._logs[table]

    def end_round(self) -> None:
        """Make columns of the logged rows of the round while they are still in the cache."""
        for table in self._logs:
            self.columns(table)

    def columns(self, table: str) -> dict[str, list[Any]]:
        """Return the columns of a table, to be read; after the last round also to be filled in."""
        columns, log = self._columns[table], self._logs[table]
        if log:
            append_rows(log, list(columns.values()))
            log.clear()
        return columns

    def table(self, name: str) -> pa.Table:
        """Return a table with its declared types."""
        return _typed(name, self.schema[name], self.columns(name))

    def tables(self) -> dict[str, pa.Table]:
        """Return all tables with their declared types."""
        return {name: self.table(name) for name in self.schema}

    # --- checkpoints --------------------------------------------------------------------------

    def history(self, after: Mapping[str, int]) -> dict[str, History]:
        """Return by table the rows after a mark, as lists of values; bytes are base64."""
        found = {}
        for name, table in self.schema.items():
            start = after.get(name, 0)
            parts = [
                _in_json(values[start:], table.columns[column])
                for column, values in self.columns(name).items()
            ]
            rows = list(zip(*parts, strict=True))
            found[name] = History(rows, start + len(rows))
        return found

    def restore(self, history: Mapping[str, Sequence[Sequence[Any]]]) -> None:
        """Take over all rows that `history` gave, by table.

        Raises `ValueError` for rows that no table of the declared types can hold, now and not when
        all rounds have been played.
        """
        for name, table in self.schema.items():
            rows = history.get(name, ())
            if any(len(row) != len(table.columns) for row in rows):
                raise ValueError(f"table {name}: a row must have {len(table.columns)} cells")
            columns: dict[str, list[Any]] = {}
            for i, (column, kind) in enumerate(table.columns.items()):
                columns[column] = _from_json([row[i] for row in rows], kind)
            self._columns[name] = columns
            self._logs[name].clear()
            self.table(name)


def append_rows(rows: Sequence[Sequence[Any]], columns: Sequence[list[Any]]) -> None:
    """Append rows to columns, a block at a time: twice as fast as column by column."""
    for start in range(0, len(rows), BLOCK):
        block = zip(*rows[start : start + BLOCK], strict=True)
        for column, values in zip(columns, block, strict=True):
            column.extend(values)


def _in_json(values: list[Any], column: Column) -> list[Any]:
    """Return values of a column as JSON can hold them."""
    if column.type != BYTES:
        return values
    return [b64encode(raw).decode() for raw in values]


def _from_json(values: list[Any], column: Column) -> list[Any]:
    """Return what `_in_json` was given."""
    if column.type != BYTES:
        return values
    return [b64decode(text) for text in values]


def _typed(name: str, table: Table, columns: Mapping[str, list[Any]]) -> pa.Table:
    """Return an Arrow table of the declared types; errors name table and column."""
    return pa.table(
        {
            c: _cells(f"table {name}, column {c}", columns[c], table.columns[c].type)
            for c in table.columns
        }
    )


def _cells(where: str, values: list[Any], kind: pa.DataType) -> pa.Array:
    """Return values as cells of a type; raises `ValueError` for one that is of another type."""
    try:
        return pa.array(values, type=kind)
    except (pa.ArrowException, TypeError, OverflowError) as error:
        raise ValueError(f"{where}: {error}") from error


class Incidents:
    """Acts that somebody refused, as rows of the table `incidents`."""

    def __init__(self, recorder: Recorder, clock: Clock) -> None:
        self._recorder, self._clock = recorder, clock

    def note(self, time_s: float, device: int | None, witness: int | None, kind: str) -> None:
        """Record that `witness` (None: the contract or server) refused what `device` did."""
        row = {
            "round": self._clock.round,
            "time_s": time_s,
            "device": device,
            "witness": witness,
            "kind": kind,
        }
        self._recorder.add("incidents", [row])
