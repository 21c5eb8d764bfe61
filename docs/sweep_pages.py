"""What the scripts beside this one share that play sweeps and write a page about them."""

from __future__ import annotations

import argparse
import os
import shutil
from pathlib import Path

import pandas as pd

from experiments.intervals import interval
from fedstake import Results, report

HERE = Path(__file__).parent
PAGES = HERE / "reference"
REFERENCE = HERE.parent / "results" / "reference"
"""Numbers and figures that are kept."""


def options(description: str | None, out: str) -> argparse.Namespace:
    """Return `seeds`, `workers` and `out` from the command line; `out` is the folder of sweeps."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--workers", type=int, default=os.cpu_count())
    parser.add_argument("--out", default=out)
    return parser.parse_args()


def complete(results: Results) -> Results:
    """Return the results of a sweep; stop unless every run finished."""
    failures = results.failures()
    if len(failures):
        raise SystemExit(f"{len(failures)} runs failed, the first: {failures['error'].iloc[0]}")
    return results


def shown(values: pd.Series, places: int) -> str:
    """Return mean and half of the 95 % interval of the values that are known; `-`: none is."""
    values = values.dropna()
    if values.empty:
        return "-"
    mean = values.mean()
    half = interval(values.to_numpy(dtype=float))[1] - mean
    return f"{mean:,.{places}f} ± {half:,.{places}f}"


def keep_numbers(table: pd.DataFrame, name: str) -> None:
    """Write a table beside the other reference results."""
    REFERENCE.mkdir(parents=True, exist_ok=True)
    table.to_csv(REFERENCE / f"{name}.csv", index=False, float_format="%.6g")


def keep_figure(results: Results, figure: str, name: str) -> None:
    """Draw a figure of a sweep, and keep it beside the other reference results."""
    drawn = report(results, figures=[figure], formats=["png"])
    (picture,) = drawn.parent.rglob(f"{figure}*.png")
    REFERENCE.mkdir(parents=True, exist_ok=True)
    shutil.copy(picture, REFERENCE / f"{name}.png")


def keep_page(text: str, name: str) -> None:
    """Write a page of the reference."""
    (PAGES / f"{name}.md").write_text(text, encoding="utf-8")
