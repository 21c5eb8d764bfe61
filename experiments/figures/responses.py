"""Outcomes against each factor that was sampled."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator

from experiments.figures.base import (
    COLUMNS,
    LEVELS,
    LINE,
    NEUTRAL,
    Look,
    Sheet,
    SweepFigure,
    thousands,
)
from experiments.figures.factors import continuous, crossed, ordered, share_explained
from experiments.figures.panels import grid_of, words
from experiments.intervals import interval
from experiments.numerals import plain
from experiments.results import Results

OUTCOMES = {
    "accuracy": "final test\naccuracy",
    "honest_utility": "utility, honest\n(base units)",
    "adversary_utility": "utility, adversaries\n(base units)",
}
NAMES = {
    "accuracy": "accuracy",
    "honest_utility": "honest devices' utility",
    "adversary_utility": "adversaries' utility",
}
VALUES = ("cell", "point", "seed", "factor", "value", "log", "outcome", "result")


def data(results: Results) -> pd.DataFrame:
    """Return one row per run, sampled factor and outcome.

    The factors that explain most of the first outcome (accuracy, where it is recorded) come first.
    """
    axes = continuous(results)
    outcomes = ordered(results, results.outcomes())
    axes = [f for f in axes if outcomes[f].nunique() > 2]
    if outcomes.empty or not axes:
        return pd.DataFrame()
    shown = [o for o in OUTCOMES if o in outcomes and outcomes[o].nunique() > 1]
    if not shown:
        return pd.DataFrame()
    colored = [f for f in crossed(results, outcomes) if outcomes[f].nunique() <= COLUMNS][:1]
    values = {f: outcomes[f].astype(float) for f in axes}
    axes.sort(key=lambda f: -share_explained(bins(values[f]), outcomes[shown[0]]))
    logs = _logarithmic(results)
    # Cells that differ in colour alone are one point of the design.
    others = [f for f in results.factors if f not in colored]
    outcomes["point"] = outcomes.groupby(others, observed=True, sort=False).ngroup()
    keys = outcomes[[*colored, "cell", "point", "seed"]]
    parts = [
        keys.assign(factor=f, value=values[f], log=f in logs, outcome=o, result=outcomes[o])
        for f, o in itertools.product(axes, shown)
    ]
    return pd.concat(parts, ignore_index=True).dropna(subset="result")


def _logarithmic(results: Results) -> set[str]:
    """Return the factors that are drawn on a logarithmic scale."""
    found: set[str] = set()
    for block in results.spec.get("design", []):
        ranges = {name: r for name, r in block["factors"].items() if isinstance(r, dict)}
        found.update(name for name, r in ranges.items() if r.get("log", False))
    return found


def bins(values: pd.Series) -> pd.Series:
    """Return the number of each value's bin.

    Up to ten values have a bin each; more fall into about eight bins with as many runs each.
    """
    if values.nunique() <= 10:
        return values.rank(method="dense")
    return pd.qcut(values, min(8, max(2, values.nunique() // 3)), labels=False, duplicates="drop")


def means(part: pd.DataFrame) -> pd.DataFrame:
    """Return per bin of cells the mean value, the mean result, its 95 % interval, and the cells.

    The seeds of a cell count as one. Bounds are NaN for a bin of one cell.
    """
    cells = part.groupby("cell")[["value", "result"]].mean()
    rows = []
    for _, inside in cells.groupby(bins(cells["value"])):
        low, high = interval(inside["result"].to_numpy(dtype=float))
        rows.append((*inside[["value", "result"]].mean(), low, high, len(inside)))
    return pd.DataFrame(rows, columns=["value", "result", "low", "high", "cells"])


def draw(table: pd.DataFrame, look: Look) -> Sheet:
    """Draw a scatter per factor (across) and outcome (down) under the means of its bins."""
    notes: list[str] = []
    color_by = next((c for c in table.columns if c not in VALUES), "")
    outcomes = list(table["outcome"].unique())
    factors = list(table["factor"].unique())
    most = look.most
    if len(factors) > most:
        notes.append(
            f"The {most} factors that explain most of {NAMES[outcomes[0]]} are drawn; "
            f"the CSV has all {len(factors)}."
        )
        factors = factors[:most]
    width = look.inches(max(3.6, 0.9 + 1.9 * len(factors)))
    sheet, grid = grid_of(look, len(outcomes), len(factors), width, 1.45)
    colors: dict[Any, str] = {"": LINE}
    table = table.assign(level="")
    if color_by:
        shown = look.levels(table[color_by])
        colors = dict(zip(shown, LEVELS, strict=False))
        table["level"] = table[color_by].astype(object)
    grey = False
    for i, outcome in enumerate(outcomes):
        rows = table[table["outcome"] == outcome]
        for j, factor in enumerate(factors):
            axes = grid[i, j]
            grey |= _draw_panel(axes, rows[rows["factor"] == factor], colors)
            axes.set(xlabel=look.labels.factor(factor), ylabel=OUTCOMES[outcome])
            if outcome != "accuracy":
                axes.yaxis.set_major_formatter(FuncFormatter(thousands))
            axes.yaxis.set_major_locator(MaxNLocator(4))
            if not look.stacked:
                axes.label_outer()
    if grey:
        notes.append(f"Grey: {look.labels.factor(color_by)} makes no difference.")
    if color_by:
        words(sheet, {look.labels.whole(color_by, v): color for v, color in colors.items()})
    return Sheet(sheet, notes)


def _draw_panel(axes: Axes, part: pd.DataFrame, colors: Mapping[Any, str]) -> bool:
    """Draw the points of one factor and outcome, and the means of their bins.

    Returns whether colour makes no difference: all is grey then.
    """
    alike = _alike(part)
    if alike:
        part = part.drop_duplicates(["point", "seed"]).assign(level="")
        colors = {"": NEUTRAL}
    for level, color in colors.items():
        own = part[part["level"] == level]
        axes.scatter(own["value"], own["result"], s=9, color=color, alpha=0.4, linewidth=0)
    for level, color in colors.items():
        mean = means(part[part["level"] == level])
        bars = [mean["result"] - mean["low"], mean["high"] - mean["result"]]
        axes.errorbar(
            mean["value"],
            mean["result"],
            [bar.fillna(0) for bar in bars],
            color=color,
            linewidth=1.3,
            marker="o",
            markersize=2.8,
        )
    # Room for whole points and bars at the edges, and for ticks that do not touch.
    axes.margins(0.08, 0.1)
    if part["log"].any():
        axes.set_xscale("log")
        axes.xaxis.set_major_locator(LogLocator(numticks=4))
        axes.xaxis.set_minor_locator(NullLocator())
        if np.log10(part["value"].max() / part["value"].min()) < 1.5:
            axes.xaxis.set_major_locator(LogLocator(subs=(1, 3), numticks=4))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: plain(value)))
    else:
        whole = bool((part["value"] % 1 == 0).all())
        axes.xaxis.set_major_locator(MaxNLocator(3, integer=whole))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: plain(value)))
    return alike


def _alike(part: pd.DataFrame) -> bool:
    """Return whether colour makes no difference: the same points have the same results."""
    spread = part.groupby(["point", "seed"])["result"]
    return bool(part["level"].nunique() > 1 and np.isclose(spread.std(ddof=0).max(), 0))


FIGURE = SweepFigure(
    name="responses",
    title="Outcome against each sampled factor",
    caption="Points are runs; the line joins means over equal-sized bins of cells, bars are their "
    "95 % intervals (Student's t below ten cells), none for a bin of one cell.",
    needs={"participants": ("device", "adversary", "utility")},
    data=data,
    draw=draw,
    order=40,
)
