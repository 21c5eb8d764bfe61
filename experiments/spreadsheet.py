"""CSV files that spreadsheets open without running what is in them.

A spreadsheet takes a cell that begins with =, +, - or @ (after a tab or line break as well) for a
formula, which may read other files or call programs. Text that begins so gets an apostrophe before
it, which shows as text; numbers stay as they are. `csv_frame` takes the apostrophe off again.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal

import pandas as pd

FORMULA = re.compile(r"[=+\-@\t\r\n＝＋－＠]")
"""The wide forms count as well."""
NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?|[+-]inf")
ESCAPED = re.compile(r"'+[=+\-@\t\r\n＝＋－＠]")


def csv_text(frame: pd.DataFrame, float_format: str | None = None) -> str:
    """Return a frame as CSV, names and text in it safe for spreadsheets."""
    safe = frame.rename(columns=lambda name: _safe(str(name)))
    for place, (_, column) in enumerate(frame.items()):
        if not pd.api.types.is_numeric_dtype(column):
            escaped = column.astype(object).map(_safe, na_action="ignore")
            safe.isetitem(place, escaped.to_numpy(dtype=object))
    # A bare "\r" ends a line for some readers, and is quoted only when all text is.
    bare = any(_has_return(values) for values in (safe.columns, *(c for _, c in safe.items())))
    quoting: Literal[0, 2] = csv.QUOTE_NONNUMERIC if bare else csv.QUOTE_MINIMAL
    return safe.to_csv(index=False, float_format=float_format, quoting=quoting)


def _has_return(values: Iterable[Any]) -> bool:
    return any(isinstance(value, str) and "\r" in value for value in values)


def csv_frame(path: Path) -> pd.DataFrame:
    """Return the frame of a file that `csv_text` wrote, its names and text as they were."""
    frame = pd.read_csv(path).rename(columns=_as_it_was)
    for column in frame.select_dtypes(exclude="number").columns:
        frame[column] = frame[column].map(_as_it_was, na_action="ignore")
    return frame


def _safe(value: Any) -> Any:
    """Return text that no spreadsheet takes for a formula; anything else as it is."""
    if not isinstance(value, str) or NUMBER.fullmatch(value):
        return value
    # An apostrophe that is there already gets another, so that one can be taken off.
    return f"'{value}" if FORMULA.match(value) or ESCAPED.match(value) else value


def _as_it_was(value: Any) -> Any:
    return value[1:] if isinstance(value, str) and ESCAPED.match(value) else value
