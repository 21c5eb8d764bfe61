"""Tables of the user: CSV and Parquet files, read as what they hold and nothing else."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Mapping
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

NAMELESS = re.compile(r"__index_level_\d+__")
"""What pandas calls an index without a name in a Parquet file."""
GAPS = ["", "nan", "NaN"]
"""Cells of a CSV file that hold nothing; any other word is a word."""


def read_csv(raw: bytes, types: Mapping[str, Any] | None = None) -> pd.DataFrame:
    """Return the table of a CSV file whose first line names the columns.

    `types`: of columns that are not to be guessed. Raises `ValueError` for two columns of one name
    and for a row with more cells than there are columns.
    """
    text = raw.decode("utf-8-sig")
    header = next(csv.reader(io.StringIO(text, newline="")), [])
    doubled = [name for place, name in enumerate(header) if name in header[:place]]
    if doubled:
        raise ValueError(f"two columns are called {doubled[0]!r}")
    frame = pd.read_csv(
        io.StringIO(text), keep_default_na=False, na_values=GAPS, dtype=dict(types or {})
    )
    # pandas takes the first cells of rows that are too long for their names.
    if not isinstance(frame.index, pd.RangeIndex):
        raise ValueError(f"row 1 has more cells than there are columns, {len(header)}")
    return frame


def read_parquet(raw: bytes) -> pd.DataFrame:
    """Return the table of a Parquet file, without what a program noted in it of its own.

    The index of a frame is a column like others where it has a name. Raises `ValueError`.
    """
    try:
        with pq.ParquetFile(io.BytesIO(raw)) as opened:
            table = opened.read().replace_schema_metadata(None)
        frame = table.to_pandas()
    except (pa.ArrowException, OSError) as error:
        raise ValueError(str(error)) from error
    doubled = frame.columns[frame.columns.duplicated()]
    if len(doubled):
        raise ValueError(f"two columns are called {doubled[0]!r}")
    return frame[[name for name in frame.columns if not NAMELESS.fullmatch(name)]]
