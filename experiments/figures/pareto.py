"""Accuracy against adversaries' income: the trade-off of a mechanism's designer."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, MaxNLocator

from experiments.figures.base import ACCENT, NEUTRAL, Sheet, SweepFigure, thousands
from experiments.figures.factors import concerns, continuous, crossed, each, label, ordered, short
from experiments.figures.gains import CAPTION, OWNED_NEEDS, gains, per_run
from experiments.figures.panels import CURVES, multiples, name_points
from experiments.intervals import in_words, interval
from experiments.results import Results

VALUES = (
    "point",
    "runs",
    "accuracy",
    "accuracy_low",
    "accuracy_high",
    "gained",
    "gained_low",
    "gained_high",
    "front",
)


def data(results: Results) -> pd.DataFrame:
    """Return one row per attack and choice of the designer.

    It has means over runs with 95 % intervals, and whether no other choice is better in both.
    """
    runs = results.outcomes().merge(per_run(gains(results)), on="run_id")
    runs = runs.rename(columns={"adversary_gained": "gained"})
    runs = ordered(results, runs.dropna(subset=["gained", "accuracy"]))
    if runs.empty or not runs["gained"].any():
        return pd.DataFrame()

    # Factors of the attack make panels, all others are the designer's choices and make points.
    axes = continuous(results)
    varied = [*crossed(results, runs), *axes]
    attacks = [f for f in varied if concerns(results, f, "adversaries")]
    choices = [f for f in varied if f not in attacks]
    facets = [f for f in attacks if f not in axes][:2]
    if not choices:
        facets = []
        choices = attacks
    if not choices:
        return pd.DataFrame()

    # One row per point, and whether it is on the front of its panel.
    rows = []
    for key, part in each(runs, [*facets, *choices]):
        levels = dict(zip([*facets, *choices], key, strict=True))
        rows.append(_row(levels, choices, axes, part))
    table = pd.DataFrame(rows).astype({f: runs[f].dtype for f in facets})
    if len(table) < 2:
        return pd.DataFrame()
    table["front"] = False
    for _, part in each(table, facets):
        best = front(part["gained"].to_numpy(), part["accuracy"].to_numpy())
        table.loc[part.index, "front"] = best

    # What the caption has to add.
    notes = [in_words(table["runs"])]
    if len(choices) > 1:
        notes.append(f"Points are named by {' · '.join(short(f) for f in choices)}.")
    hidden = [short(f) for f in attacks if f not in facets and f not in choices]
    if hidden:
        notes.append(f"Pooled: {', '.join(hidden)}.")
    table = table[[*facets, *VALUES]]
    table.attrs["notes"] = notes
    return table


def _row(
    levels: dict[str, Any], choices: list[str], axes: list[str], part: pd.DataFrame
) -> dict[str, Any]:
    """Return the row of a point: its panel, its name, its means and their intervals."""
    names = [f"{levels[f]:.3g}" if f in axes else label(f, levels[f]) for f in choices]
    row = {factor: level for factor, level in levels.items() if factor not in choices}
    row |= {"point": " · ".join(names), "runs": len(part)}
    for column in ("accuracy", "gained"):
        low, high = interval(part[column].to_numpy(float))
        row |= {column: part[column].mean(), f"{column}_low": low, f"{column}_high": high}
    return row


def front(taken: np.ndarray, accuracy: np.ndarray) -> np.ndarray:
    """Return whether each point is on the Pareto front.

    It is when no other point has as little taken and as high an accuracy, and is better in one. A
    point of which one is not known (NaN) is not.
    """
    known = ~np.isnan(taken) & ~np.isnan(accuracy)
    as_good = (taken[None] <= taken[:, None]) & (accuracy[None] >= accuracy[:, None])
    better = (taken[None] < taken[:, None]) | (accuracy[None] > accuracy[:, None])
    return known & np.logical_not(np.any(as_good & better, axis=1))


def draw(table: pd.DataFrame) -> Sheet:
    """Draw points with intervals, the front in green.

    All points are named where they are few; else those on the front are numbered.
    """
    notes: list[str] = []
    facets = [c for c in table.columns if c not in VALUES]
    # Choices with the very same outcomes are one point with all their names.
    same = table.groupby([*facets, *VALUES[2:]], observed=True, sort=False, dropna=False)
    table = same["point"].agg(", ".join).reset_index()
    sheet, panels = multiples(table, facets, notes, height=2.4)
    for panel in panels:
        _points(panel.axes, panel.part)
    sheet.supxlabel("net income per adversary (base units)", fontsize=10)
    sheet.supylabel("final test accuracy", fontsize=10)
    few = max(len(p.part) for p in panels) <= CURVES
    for panel in panels:
        part = panel.part.sort_values(["gained", "accuracy"])
        names = part["point"].tolist()
        if not few:  # no room for names: numbers along the front, and a key in the caption
            numbers = part["front"].cumsum()
            key = [f"{n} {name}" for n, name in zip(numbers, names, strict=True)]
            key = list(itertools.compress(key, part["front"]))
            title = panel.axes.get_title(loc="left") or "On the front"
            notes.append(f"{title}: {'; '.join(key)}.")
            names = numbers.astype(str).where(part["front"], "").tolist()
        _names(panel.axes, part, names)
    return Sheet(sheet, notes)


def _points(axes: Axes, part: pd.DataFrame) -> None:
    """Draw the points of a panel, their intervals, and the line of the front."""
    for good, color in ((False, "#9A9A9A"), (True, ACCENT)):
        some = part[part["front"] == good]
        axes.hlines(
            some["accuracy"],
            some["gained_low"],
            some["gained_high"],
            color=color,
            linewidth=1,
            alpha=0.7,
        )
        axes.vlines(
            some["gained"],
            some["accuracy_low"],
            some["accuracy_high"],
            color=color,
            linewidth=1,
            alpha=0.7,
        )
    best = part[part["front"]].sort_values("gained")
    axes.step(best["gained"], best["accuracy"], where="post", color=ACCENT, linewidth=1.2)
    sns.scatterplot(
        part,
        x="gained",
        y="accuracy",
        hue="front",
        palette={True: ACCENT, False: NEUTRAL},
        s=34,
        ax=axes,
        legend=False,
        zorder=3,
    )
    axes.set(xlabel="", ylabel="")
    axes.margins(0.16, 0.2)
    axes.xaxis.set_major_formatter(FuncFormatter(thousands))
    axes.xaxis.set_major_locator(MaxNLocator(3))


def _names(axes: Axes, part: pd.DataFrame, texts: list[str]) -> None:
    """Write the names of points where they cover neither intervals nor the line of the front."""
    points = part[["gained", "accuracy"]].to_numpy()
    low = part[["gained_low", "accuracy_low"]].to_numpy()
    high = part[["gained_high", "accuracy_high"]].to_numpy()
    front = points[part["front"]].repeat(2, axis=0)
    corners = np.c_[front[1:, 0], front[:-1, 1]]  # of the stairs that the front is drawn as
    starts = [np.c_[low[:, 0], points[:, 1]], np.c_[points[:, 0], low[:, 1]], corners[:-1]]
    ends = [np.c_[high[:, 0], points[:, 1]], np.c_[points[:, 0], high[:, 1]], corners[1:]]
    lines = np.stack([np.concatenate(starts), np.concatenate(ends)], axis=1)
    name_points(axes, points, texts, lines[~np.isnan(lines).any(axis=(1, 2))])


FIGURE = SweepFigure(
    name="pareto",
    title="Accuracy against adversaries' income",
    caption="Final accuracy against what an adversary earns: means over runs; better is up "
    "and to the left. "
    f"Green: no other choice is better in both; the line joins them. {CAPTION}",
    needs={"rounds": ("round", "accuracy"), "participants": OWNED_NEEDS},
    data=data,
    draw=draw,
    order=20,
)
