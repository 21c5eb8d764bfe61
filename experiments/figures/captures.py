"""Share of the referenda that were captured, against a numeric factor such as a vote's price."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.ticker import FuncFormatter, MaxNLocator

from experiments.figures.base import LEVELS, LINE, Look, Sheet, SweepFigure, blank
from experiments.figures.factors import crossed, each, is_number, ordered, share_explained
from experiments.figures.panels import words
from experiments.intervals import band, bands_in_words
from experiments.numerals import plain
from experiments.results import Results

VALUES = ("factor", "value", "mean", "low", "high", "seeds")
MOST = 4
"""Lines at most."""


def data(results: Results) -> pd.DataFrame:
    """Return one row per level of the numeric factor that matters most and of one beside it.

    `mean` is the share of the referenda that ended otherwise than without bought votes, `low` and
    `high` the band over seeds; a seed counts once.
    """
    rows = ordered(results, results.table("referenda", columns=["captured"]))
    if rows.empty:
        return pd.DataFrame()
    rows["captured"] = rows["captured"].astype(float)
    plan = results.runs()
    varied = [f for f in crossed(results, rows) if rows[f].nunique() > 1]
    numeric = [f for f in varied if is_number(plan[f])]
    if not numeric:
        return pd.DataFrame()
    explained = {f: share_explained(rows[f], rows["captured"]) for f in numeric}
    factor = max(numeric, key=lambda f: explained[f])
    beside = [f for f in varied if f != factor and rows[f].nunique() <= MOST][:1]
    found = []
    for key, part in each(rows, [*beside, factor]):
        values = part.groupby("seed")["captured"].mean().to_numpy(float)
        low, high = np.clip(band(values), 0, 1)
        levels: dict[str, Any] = dict(zip([*beside, factor], key, strict=True))
        row = {f: levels[f] for f in beside}
        row |= {"factor": factor, "value": float(levels[factor]), "mean": values.mean()}
        found.append(row | {"low": low, "high": high, "seeds": len(values)})
    table = pd.DataFrame(found).astype({f: rows[f].dtype for f in beside})
    table.attrs["notes"] = [bands_in_words(table["seeds"])]
    return table


def draw(table: pd.DataFrame, look: Look) -> Sheet:
    """Draw a line for each level beside the numeric factor, with its band."""
    sheet = blank(look.inches(4.2), 2.8)
    axes = sheet.subplots()
    beside = next((c for c in table.columns if c not in VALUES), "")
    levels = look.levels(table[beside]) if beside else [""]
    colors = dict(zip(levels, LEVELS if beside else (LINE,), strict=False))
    for level, color in colors.items():
        part = table[table[beside] == level] if beside else table
        part = part.sort_values("value")
        axes.plot(part["value"], part["mean"], color=color, marker="o", markersize=3)
        axes.fill_between(part["value"], part["low"], part["high"], color=color, alpha=0.15, lw=0)
    axes.set(
        xlabel=look.labels.factor(table["factor"].iloc[0]), ylabel="referenda captured\n(share)"
    )
    axes.set_ylim(-0.03, 1.03)
    axes.xaxis.set_major_locator(MaxNLocator(5))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: plain(value)))
    if beside:
        words(sheet, {look.labels.named(beside, level): color for level, color in colors.items()})
    return Sheet(sheet, [])


FIGURE = SweepFigure(
    name="captures",
    title="Referenda that were captured",
    caption="Share of the referenda that ended otherwise than they would have without bought "
    "votes: mean over seeds.",
    needs={"referenda": ("captured",)},
    data=data,
    draw=draw,
    order=26,
)
