"""Acts that were recorded elsewhere, to be played again: `market.replay_of`."""

from __future__ import annotations

import hashlib
import json
import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from fedstake.outside import UnreadableError, read_bytes, shown
from sim.data.sources.base import DataError

COLUMNS = ("time_s", "device", "action", "sample", "label", "offer", "accuracy")
ALIASES = {"time": "time_s", "agent": "device", "offered": "offer", "value": "offer"}
ACTIONS = {
    **dict.fromkeys(("add", "submit"), "add"),
    **dict.fromkeys(("predict", "call"), "predict"),
    **dict.fromkeys(("wait", "claim", "none", "skip"), "wait"),
}
MOST_BYTES = 1 << 30


class RecordedAct(NamedTuple):
    """One act: `action` is "add", "predict" or "wait"; `offer` in base units; `accuracy` or NaN."""

    time_s: float
    device: int
    action: str
    row: int
    label: int
    offer: int
    accuracy: float


def _place(file: str, folder: Path) -> Path:
    return folder / os.path.expanduser(file)


def _content(file: str, folder: Path) -> bytes:
    path = _place(file, folder)
    try:
        return read_bytes(path, MOST_BYTES)
    except FileNotFoundError:
        raise DataError(f"market.replay_of = {shown(repr(file))}: there is no {path}") from None
    except UnreadableError as error:
        raise DataError(f"market.replay_of: {error}") from error


def file_digest(file: str, folder: Path) -> str:
    """Return the SHA-256 of the file; raises `DataError` where it cannot be read."""
    return hashlib.sha256(_content(file, folder)).hexdigest()


def read_acts(
    file: str,
    folder: Path,
    *,
    names: Sequence[str],
    devices: int,
    rows: int,
    classes: int,
    token: int,
) -> list[RecordedAct]:
    """Return the acts of a file, in its order; its ending says what it is, by default CSV.

    Args:
        file: its name; relative to `folder`.
        folder: of data files.
        names: what it calls the devices; empty: by number.
        devices: how many there are.
        rows: how many training samples there are: `sample` is a row of them, from 0.
        classes: labels are 0..classes-1.
        token: base units in a token; `offer` is in tokens.

    Raises `DataError` that names file, row, column and what would be right.
    """
    frame = _frame(file, folder)
    called = {name: device for device, name in enumerate(names)}
    acts = []
    before = 0.0
    for number, values in enumerate(frame.itertuples(index=False), start=1):
        row = _Row(file, number, dict(zip(frame.columns, values, strict=True)))
        action = row.one_of("action", ACTIONS)
        time_s = row.number("time_s", before, math.inf)
        device = row.device(called, devices)
        adds, pays = action == "add", action != "wait"
        acts.append(
            RecordedAct(
                time_s,
                device,
                action,
                row.whole("sample", rows) if adds else -1,
                row.whole("label", classes) if adds else -1,
                round(row.number("offer", 0, 1e9) * token) if pays else 0,
                row.accuracy(),
            )
        )
        before = time_s
    return acts


def _frame(file: str, folder: Path) -> Any:
    """Return the table of a file, with the columns that are known."""
    from sim.data.tables import read_csv, read_parquet

    content = _content(file, folder)
    try:
        match Path(file).suffix:
            case ".parquet":
                frame = read_parquet(content)
            case ".json":
                frame = _objects(json.loads(content))
            case ".jsonl":
                lines = filter(bytes.strip, content.splitlines())
                frame = _objects([json.loads(line) for line in lines])
            case _:
                frame = read_csv(content, types=dict.fromkeys(("device", "agent"), str))
    except (ValueError, MemoryError, RecursionError) as error:
        reason = " ".join(str(error).split())
        raise DataError(f"{shown(file)}: cannot be read as a table ({shown(reason)})") from error
    frame = frame.rename(columns=ALIASES)
    missing = [name for name in COLUMNS[:3] if name not in frame.columns]
    if missing:
        raise DataError(
            f"{shown(file)}: no column {missing[0]!r}; columns are {', '.join(COLUMNS)}"
        )
    doubled = frame.columns[frame.columns.duplicated()]
    if len(doubled):
        other = " and ".join(name for name, known in ALIASES.items() if known == doubled[0])
        raise DataError(
            f"{shown(file)}: two columns say {doubled[0]!r}, also called {other}; keep one"
        )
    if frame.empty:
        raise DataError(f"{shown(file)}: has no acts; the table needs a row for each")
    return frame[[name for name in COLUMNS if name in frame.columns]]


def _objects(values: Any) -> Any:
    """Return the table of a list of JSON objects."""
    import pandas as pd

    objects = isinstance(values, list) and all(isinstance(value, dict) for value in values)
    if not objects or not values:
        raise ValueError("a list of objects is expected, one for each act")
    return pd.DataFrame(values)


def _number(value: Any) -> float:
    """Return a number, also one that is written as a text; NaN for anything else."""
    strange = isinstance(value, bool | np.bool_) or (isinstance(value, str) and "_" in value)
    if strange:
        return math.nan
    try:
        return float(value)
    except (TypeError, ValueError, OverflowError):
        return math.nan


class _Row:
    """One row of the file, whose values are checked."""

    def __init__(self, file: str, number: int, values: dict[str, Any]) -> None:
        self._file, self._number, self._values = file, number, values

    def _wrong(self, column: str, expected: str) -> DataError:
        value = self._values.get(column)
        place = f"{shown(self._file)}, row {self._number}, {column}"
        return DataError(f"{place} = {shown(repr(value))}: {expected}")

    def one_of(self, column: str, known: dict[str, str]) -> str:
        value = self._values.get(column)
        if not isinstance(value, str) or value not in known:
            raise self._wrong(column, f"one of {', '.join(known)}")
        return known[value]

    def number(self, column: str, least: float, most: float, expected: str = "") -> float:
        value = self._values.get(column)
        number = _number(value)
        if not (math.isfinite(number) and least <= number <= most):
            limit = "" if most == math.inf else f" and at most {most:g}"
            raise self._wrong(column, expected or f"must be a number of at least {least:g}{limit}")
        return number

    def whole(self, column: str, below: int) -> int:
        expected = f"must be a whole number in 0..{below - 1}"
        number = self.number(column, 0, below - 1, expected)
        if not number.is_integer():
            raise self._wrong(column, expected)
        return int(number)

    def device(self, called: dict[str, int], devices: int) -> int:
        value = self._values.get("device")
        if not called:
            return self.whole("device", devices)
        if str(value) not in called:
            raise self._wrong("device", f"one of market.names: {', '.join(called)}")
        return called[str(value)]

    def accuracy(self) -> float:
        value = self._values.get("accuracy")
        left_out = value is None or (isinstance(value, float) and math.isnan(value))
        if left_out:
            return math.nan
        return self.number("accuracy", 0, 1)
