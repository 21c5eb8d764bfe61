"""Payoff matrices: mean utility of honest devices and of adversaries over two factors."""

from __future__ import annotations

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib import colormaps
from matplotlib.axes import Axes

from experiments.figures.base import DARK, NEUTRAL, Sheet, SweepFigure, blank, luminance
from experiments.figures.factors import choose, label, ordered, short
from experiments.figures.panels import PANELS, keep, levels
from experiments.numerals import digits, number
from experiments.results import Results

VALUES = ("who", "utility", "low", "high", "runs")
COLORS = colormaps["PuOr"]
WHOSE = {"honest": "honest devices", "adversary": "adversaries"}


def data(results: Results) -> pd.DataFrame:
    """Return one row per two levels and kind of device.

    It has the mean utility per device and run, with its 95 % interval.
    """
    outcomes = ordered(results, results.outcomes())
    if outcomes.empty:
        return pd.DataFrame()
    of = ["honest_utility", "adversary_utility"]
    chosen = choose(results, outcomes, of, 2)
    if len(chosen.shown) < 2 or not outcomes[of].fillna(0).any(axis=None):
        return pd.DataFrame()
    summary = results.summary(chosen.shown, of)
    parts = []
    for who, outcome in zip(WHOSE, of, strict=True):
        part = summary[[*chosen.shown, "runs"]].assign(
            who=who,
            utility=summary[outcome],
            low=summary[f"{outcome}_low"],
            high=summary[f"{outcome}_high"],
        )
        parts.append(part)
    table = pd.concat(parts, ignore_index=True).astype({f: outcomes[f].dtype for f in chosen.shown})
    table = table[[*chosen.shown, *VALUES]].dropna(subset="utility")
    table = table.sort_values(["who", *chosen.shown], ignore_index=True)
    table.attrs["notes"] = chosen.notes
    return table


def draw(table: pd.DataFrame) -> Sheet:
    """Draw a matrix per kind of device, in one scale of colours with white at 0."""
    notes: list[str] = []
    factors = [c for c in table.columns if c not in VALUES]
    count = {f: len(levels(table[f])) for f in factors}
    across, down = sorted(factors, key=count.__getitem__)
    table = keep(keep(table, across, PANELS // 2, notes), down, PANELS, notes)
    across_levels, down_levels = levels(table[across]), levels(table[down])
    whose = [who for who in WHOSE if (table["who"] == who).any()]
    sheet = blank(
        1.3 + len(whose) * max(2.4, 0.85 * len(across_levels)), 1.3 + 0.42 * len(down_levels)
    )
    limit = float(table["utility"].abs().max()) or 1.0
    decimals = digits(table["utility"])
    slant = {}
    if len(across_levels) > 3:
        slant = {"rotation": 30, "ha": "right", "rotation_mode": "anchor"}
    panels = sheet.subplots(1, len(whose), sharey=True, squeeze=False).ravel()
    for axes, who in zip(panels, whose, strict=True):
        part = table[table["who"] == who]
        grid = part.pivot(index=down, columns=across, values="utility")
        grid = grid.reindex(index=down_levels, columns=across_levels)
        _matrix(axes, grid, limit, decimals)
        axes.set_title(WHOSE[who], loc="left", fontsize=10, fontweight="bold")
        axes.set_xticklabels([_tick(v) for v in across_levels], fontsize=9, **slant)
        axes.set(xlabel=short(across), ylabel="")
    first = sheet.axes[0]
    first.set_yticklabels([_tick(v) for v in down_levels], rotation=0, fontsize=9)
    first.set_ylabel(short(down))
    return Sheet(sheet, notes)


def _matrix(axes: Axes, grid: pd.DataFrame, limit: float, decimals: int) -> None:
    """Draw a matrix of numbers on their colours; white is 0, the full colours are ± `limit`."""
    sns.heatmap(
        grid,
        ax=axes,
        cmap=COLORS,
        vmin=-limit,
        vmax=limit,
        cbar=False,
        linewidths=1.5,
        linecolor="white",
    )
    for (i, j), value in np.ndenumerate(grid.to_numpy(float)):
        if np.isnan(value):
            text, size, color = "none", 9.0, NEUTRAL
        else:
            ground = COLORS((value / limit + 1) / 2)
            text, size = number(value, decimals), 9.5
            color = "white" if luminance(ground) < DARK else "black"
        axes.text(j + 0.5, i + 0.5, text, ha="center", va="center", fontsize=size, color=color)
    axes.grid(False)
    axes.tick_params(length=0)


def _tick(level: object) -> str:
    """Return a level without the name of its factor, which the axis has."""
    return label("", level).removeprefix(" = ")


FIGURE = SweepFigure(
    name="payoffs",
    title="Payoffs",
    caption="Mean utility per device and run, in base units: income and what is locked, "
    "less costs. White is 0, purple a gain, orange a loss, in the same scale for both.",
    needs={"participants": ("device", "adversary", "utility")},
    data=data,
    draw=draw,
    order=30,
)
