"""A replay as it was written, read again: its folder may come from anybody.

Columns, types and bounds are checked, and nothing of it is believed that its tables do not say: the
verdict is made again from the comparisons.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from chain_bridge.comparison import Comparison, Row
from chain_bridge.errors import PlanError
from chain_bridge.folder import BOOKS
from chain_bridge.plan import rows
from chain_bridge.recording import MOST_ROUND
from fedstake.outside import UnreadableError, literal, read_bytes, read_json, shown

VERDICT = "verdict.json"
SCALE = "money.scale"
"""Key of the units on the chain for a base unit of the run, where a chain may have several."""
MOST_SCALE = 10**38
MOST_BYTES, MOST_ROWS = 1 << 30, 5_000_000
"""Of a table that is read."""
LEAST = {"device": -1}
"""The least that a whole number may be where it is not 0."""
MOST = {"round": MOST_ROUND, "device": 2**31}

_WHOLE, _EXACT, _TEXT, _REAL = "whole numbers", "exact whole numbers", "text", "numbers"
_COMPARED = {
    "check": _TEXT,
    "round": _WHOLE,
    "account": _TEXT,
    "reason": _TEXT,
    "journal": _EXACT,
    "chain": _EXACT,
    "call": _TEXT,
}
UTILITIES = ("honest_utility", "adversary_utility")
"""Columns of table `rounds` that not every run has; they may have gaps."""
UNDIVIDED = "undivided"
"""Column of table `rounds` of rules that divide a pot by round."""
_OPTIONAL = dict.fromkeys(UTILITIES, _REAL) | {UNDIVIDED: _WHOLE}


@dataclass(frozen=True)
class Kind:
    """What replays on one kind of chain write: folder, costs, tables with columns that are read."""

    name: str
    folder: str
    cost: str
    """What calls cost there, in a word: the name of a column of tables `rounds` and `costs`."""
    costs: str
    """Name of the table of costs by round and device."""
    keys: Mapping[str, type]
    """Keys of the verdict that are shown, and of which type they are; dots lead into tables."""
    tables: Mapping[str, Mapping[str, str]]


SUBSTRATE = Kind(
    "Substrate",
    "replay",
    "fee",
    "fees",
    {
        "run_id": str,
        "verdict": str,
        "chain.name": str,
        "chain.head": int,
        "chain.head_hash": str,
        SCALE: int,
        "custody": str,
        "calls": int,
        "skipped": list,
    },
    {
        BOOKS: _COMPARED,
        "fees": {"round": _WHOLE, "device": _WHOLE, "reason": _TEXT, "fee": _WHOLE},
        "rounds": {"round": _WHOLE, "calls": _WHOLE, "fee": _WHOLE},
    },
)
EVM = Kind(
    "EVM",
    "replay-evm",
    "gas",
    "gas",
    {
        "run_id": str,
        "verdict": str,
        "chain.node": str,
        "chain.contract": str,
        "chain.head": int,
        "chain.state_root": str,
        "calls": int,
    },
    {
        BOOKS: _COMPARED,
        "gas": {"round": _WHOLE, "device": _WHOLE, "call": _TEXT, "gas": _WHOLE},
        "rounds": {"round": _WHOLE, "calls": _WHOLE, "gas": _WHOLE},
        "calls": {"round": _WHOLE, "call": _TEXT, "outcome": _TEXT, "expected": _TEXT},
    },
)
KINDS = (SUBSTRATE, EVM)


@dataclass(frozen=True)
class Written:
    """A replay that was read: its verdict's values and its tables, checked."""

    kind: Kind
    path: Path
    verdict: Mapping[str, Any]
    tables: Mapping[str, pd.DataFrame]
    books: Comparison

    @property
    def scale(self) -> int:
        """Units on the chain for a base unit of the run."""
        return int(self.value(SCALE, 1))

    def value(self, key: str, default: Any = None) -> Any:
        """Return a value of the verdict by its dotted key; of keys that were not checked none."""
        return _at(self.verdict, key, default) if key in self.kind.keys else default

    def costs(self) -> pd.DataFrame:
        """Return what calls cost, one row per round, device and reason or function."""
        return self.tables[self.kind.costs]

    def balances(self) -> pd.DataFrame:
        """Return round, account and what the chain said that it held, in units of the chain."""
        read = [(r.round, r.account, r.chain) for r in self.books.rows if r.check == "balance"]
        table = pd.DataFrame(read, columns=["round", "account", "chain"], dtype=object)
        return table.drop_duplicates(["round", "account"], keep="last")


def read_replay(folder: Path, kind: Kind, run_id: str) -> Written:
    """Read a replay of a run; `PlanError` of one line names what is missing, damaged or wrong."""
    file = folder / VERDICT
    try:
        verdict = read_json(file)
    except FileNotFoundError:
        raise PlanError(f"{shown(folder)}: incomplete, {VERDICT} is missing") from None
    except UnreadableError as error:
        raise PlanError(str(error)) from None
    _check_verdict(verdict, kind, file)
    if verdict["run_id"] != run_id:
        other = literal(verdict["run_id"])[:12]
        raise PlanError(f"{shown(folder)}: a replay of another run ({other}); replay this one")
    tables = {name: _table(folder, name, columns) for name, columns in kind.tables.items()}
    return Written(kind, folder, verdict, tables, Comparison(list(_rows(tables[BOOKS]))))


def _rows(compared: pd.DataFrame) -> Iterator[Row]:
    """Yield the comparisons; amounts become Python integers."""
    for check, r, account, reason, journal, chain, call in rows(compared, *_COMPARED):
        yield Row(check, r, account, reason, int(journal), int(chain), call)


def _check_verdict(verdict: Any, kind: Kind, file: Path) -> None:
    for key, wanted in kind.keys.items():
        value = _at(verdict, key, None)
        if type(value) is not wanted:
            raise PlanError(f"{shown(file)}: {key}: must be {_NAMES[wanted]}")
        if isinstance(value, list) and not all(isinstance(line, str) for line in value):
            raise PlanError(f"{shown(file)}: {key}: must be a list of texts")
        if key == SCALE and isinstance(value, int) and not 1 <= value <= MOST_SCALE:
            raise PlanError(f"{shown(file)}: {key}: must be 1 to {MOST_SCALE:,}")


_NAMES = {str: "text", int: "a whole number", list: "a list of texts"}


def _at(values: Any, key: str, default: Any) -> Any:
    for part in key.split("."):
        values = values.get(part) if isinstance(values, Mapping) else None
    return default if values is None else values


# --- tables ---------------------------------------------------------------------------------------


def _table(folder: Path, name: str, columns: Mapping[str, str]) -> pd.DataFrame:
    """Return the columns of a table that are read, and optional ones where it has them."""
    file = folder / f"{name}.parquet"
    try:
        opened = pq.ParquetFile(pa.BufferReader(read_bytes(file, MOST_BYTES)))
        if opened.metadata.num_rows > MOST_ROWS:
            raise PlanError(f"{shown(file)}: has more than {MOST_ROWS:,} rows, the most read")
        names = opened.schema_arrow.names
        wanted = dict(columns) | {key: _OPTIONAL[key] for key in _OPTIONAL if key in names}
        for column in wanted:
            if names.count(column) != 1:
                raise PlanError(f"{shown(file)}: must have one column {column}")
        table = opened.read(columns=list(wanted)).replace_schema_metadata(None)
    except PlanError:  # which is a ValueError
        raise
    except FileNotFoundError:
        raise PlanError(f"{shown(folder)}: incomplete, {file.name} is missing") from None
    except UnreadableError as error:
        raise PlanError(str(error)) from None
    except (pa.ArrowException, OSError, ValueError) as error:
        reason = literal(str(error).partition("\n")[0])[:120]
        raise PlanError(f"{shown(file)}: damaged ({reason})") from None
    found = {}
    for column, kind in wanted.items():
        _check_type(file, table, column, kind)
        found[column] = _values(file, table, column, kind)
    return pd.DataFrame(found)


def _check_type(file: Path, table: pa.Table, column: str, kind: str) -> None:
    """Raise `PlanError` unless a column has the type that replays write, without gaps."""
    values = table[column]
    gaps = values.null_count and kind != _REAL
    if gaps or not any(fits(values.type) for fits in _FITTING[kind]):
        raise PlanError(f"{shown(file)}: column {column} must hold {kind} without gaps")


_FITTING: Mapping[str, Sequence[Callable[[pa.DataType], bool]]] = {
    _WHOLE: (pa.types.is_int64,),
    _EXACT: (lambda kind: pa.types.is_decimal128(kind) and kind.scale == 0,),
    _TEXT: (pa.types.is_string, pa.types.is_large_string),
    _REAL: (pa.types.is_float64,),
}


def _values(file: Path, table: pa.Table, column: str, kind: str) -> pd.Series:
    """Return a column; numbers are so small that no sum of them overflows."""
    values = pd.Series(table[column].to_pylist(), dtype=object if kind != _REAL else "float64")
    if kind != _WHOLE:
        return values
    least, most = LEAST.get(column, 0), MOST.get(column, (2**63 - 1) // max(1, len(values)))
    if len(values) and not least <= values.min() <= values.max() <= most:
        raise PlanError(f"{shown(file)}: column {column} must hold {least} to {most:,}")
    return values.astype("int64")
