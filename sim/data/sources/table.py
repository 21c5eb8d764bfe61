"""A CSV or Parquet file: the user's own samples, one row each."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mechanisms.plugin import PluginError, nearest, param
from sim.data.sources.base import DataError, Dataset
from sim.data.sources.own_file import OwnFile, classes_of

if TYPE_CHECKING:
    import pandas as pd

PARTS = ("train", "test")
FORMATS = (".csv", ".parquet")
NO_LABELS = (bytes, list, tuple, dict, np.ndarray)
"""What cells of a Parquet file may hold beside numbers and words."""


class TableFile(OwnFile):
    """Samples are the rows of a table in the file's order, features its columns.

    Labels are the whole numbers 0..k-1, or words, which are numbered in the order of the alphabet.
    Test samples are the last rows, or those whose column `split` says "test".
    """

    name = "table"
    summary = "your own CSV or Parquet file: a column of labels, the others features"
    reference = "RFC 4180 (CSV), Apache Parquet"
    examples = ({"file": "samples.csv"},)

    @dataclass(frozen=True)
    class Params:
        file: str = param(help="the .csv or .parquet file, in the data folder or by its whole path")
        label: str = param("label", help="column of the labels")
        features: str = param(
            "", help="columns of features, with commas between; all others if empty"
        )
        split: str = param("", help="column that says train or test; the last rows test if empty")
        test: float = param(0.3, help="share of the rows that test, without `split`", gt=0, lt=1)

        def __post_init__(self) -> None:
            if not self.file.endswith(FORMATS):
                raise PluginError(f"must end in {' or '.join(FORMATS)}", "file", self.file)

    params: Params

    def load(self, folder: Path) -> Dataset:
        path, raw = self.content(folder)
        frame = _read(path, raw)
        p = self.params
        special = [p.label, p.split] if p.split else [p.label]
        chosen = [name.strip() for name in p.features.split(",") if name.strip()]
        for name in special + chosen:
            if name not in frame.columns:
                known = nearest(name, [str(column) for column in frame.columns])
                raise DataError(f"{path}: has no column {name!r}; {known}")
        for place, name in enumerate(chosen):
            if name in special + chosen[:place]:
                raise DataError(
                    f"{path}: data.params.features names {name!r} twice, or it is no feature; "
                    "name each column of features once"
                )
        columns = chosen or [name for name in frame.columns if name not in special]
        if not columns:
            raise DataError(f"{path}: has no column of features beside {' and '.join(special)}")
        x: Any = np.stack([_numbers(path, frame[name]) for name in columns], 1)
        y, classes = _labels(path, frame[p.label])
        test = self._test_rows(path, frame)
        for part, rows in zip(PARTS, (~test, test), strict=True):
            if not rows.any():
                raise DataError(f"{path}: no row is for the part {part!r}; each part needs one")
        return Dataset(path.name, x[~test], y[~test], x[test], y[test], classes)

    def _test_rows(self, path: Path, frame: pd.DataFrame) -> NDArray[np.bool_]:
        """Return which rows test."""
        p, n = self.params, len(frame)
        if not p.split:
            return np.arange(n) >= n - round(p.test * n)
        given = frame[p.split]
        wrong = given[~given.isin(PARTS)]
        if len(wrong):
            raise DataError(
                f"{path}: column {p.split!r}, row {wrong.index[0] + 1}: is {str(wrong.iloc[0])!r}; "
                "write train or test"
            )
        return (given == "test").to_numpy()


def _read(path: Path, raw: bytes) -> pd.DataFrame:
    from sim.data.tables import read_csv, read_parquet

    read = read_parquet if path.suffix == ".parquet" else read_csv
    try:
        frame = read(raw)
    except (ValueError, MemoryError) as error:
        reason = " ".join(str(error).split())[:120]
        raise DataError(f"{path}: cannot be read as {path.suffix[1:]} ({reason})") from None
    if not len(frame):
        raise DataError(f"{path}: has no rows")
    return frame


def _numbers(path: Path, column: pd.Series) -> NDArray[np.float64]:
    """Return a column of numbers; raises `DataError` that names column and row."""
    import pandas as pd

    if not pd.api.types.is_numeric_dtype(column):
        example = next(iter(column.dropna()), None)
        raise DataError(
            f"{path}: column {column.name!r} holds {example!r}, features are numbers; leave the "
            "column out with data.params.features, or write numbers"
        )
    values = column.to_numpy(dtype=np.float64, na_value=np.nan)
    missing = np.flatnonzero(~np.isfinite(values))
    if len(missing):
        raise DataError(
            f"{path}: column {column.name!r}, row {missing[0] + 1}: there is no finite number"
        )
    return values


def _labels(path: Path, column: pd.Series) -> tuple[NDArray[np.int64], int]:
    """Return labels `int64[n]` and the number of classes."""
    import pandas as pd

    if column.isna().any():
        row = int(np.flatnonzero(column.isna())[0]) + 1
        raise DataError(f"{path}: column {column.name!r}, row {row}: there is no label")
    if not pd.api.types.is_numeric_dtype(column):
        for number, label in enumerate(column, start=1):
            if isinstance(label, NO_LABELS):
                raise DataError(
                    f"{path}: column {column.name!r}, row {number}: holds a "
                    f"{type(label).__name__}; labels are whole numbers or words"
                )
        words, numbered = np.unique(column.astype(str).to_numpy(), return_inverse=True)
        if len(words) < 2:
            raise DataError(f"{path}: all labels are {words[0]!r}; there must be two classes")
        return numbered.astype(np.int64), len(words)
    given = column.to_numpy(dtype=np.float64)
    classes = classes_of(path, [(f"column {column.name!r}", given)])
    return given.astype(np.int64), classes
