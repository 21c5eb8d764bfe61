"""The folder that a replay writes: its verdict and its tables, all files or none."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from chain_bridge.comparison import COLUMNS
from chain_bridge.errors import PlanError

BOOKS = "reconciliation"
"""The table of comparisons, whose amounts may exceed 64 bits."""
_KINDS = {"round": pa.int64()} | dict.fromkeys(
    ("journal", "chain", "difference"), pa.decimal128(38, 0)
)
_SCHEMA = pa.schema([(column, _KINDS.get(column, pa.string())) for column in COLUMNS])


def files_of(*tables: str) -> frozenset[str]:
    """Return the names of the files of a replay with these tables."""
    return frozenset({"verdict.json", "plan.csv", *(f"{name}.parquet" for name in tables)})


def check_folder(folder: Path, files: frozenset[str]) -> None:
    """Raise `PlanError` unless the tables of a replay may be written there.

    Called before the work too, so that it is not done in vain.
    """
    others: list[str | Path] = []
    if folder.is_dir():
        others += [p.name for p in folder.iterdir() if p.name not in files]
    elif folder.exists():
        others.append(folder)
    if others:
        raise PlanError(
            f"{folder}: holds something else than a replay ({others[0]}); choose another --out"
        )


def write_folder(
    folder: Path,
    files: frozenset[str],
    frames: Mapping[str, pd.DataFrame],
    verdict: Mapping[str, Any],
) -> None:
    """Write `verdict.json` and the tables as Parquet: all files or none; of a link its target."""
    folder = Path(os.path.realpath(folder))
    folder.parent.mkdir(parents=True, exist_ok=True)
    partial = Path(tempfile.mkdtemp(prefix=".replay.partial-", dir=folder.parent))
    try:
        for name, frame in frames.items():
            schema = _SCHEMA if name == BOOKS else None
            table = pa.Table.from_pandas(frame, preserve_index=False, schema=schema)
            pq.write_table(table, partial / f"{name}.parquet", compression="zstd")
        (partial / "verdict.json").write_text(json.dumps(verdict, indent=2) + "\n")
        if folder.exists():
            check_folder(folder, files)
            shutil.rmtree(folder)
        partial.chmod(0o755)
        os.rename(partial, folder)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise
