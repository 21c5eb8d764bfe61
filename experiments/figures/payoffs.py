"""Payoff matrices: mean utility of honest devices and of adversaries over two factors."""

from __future__ import annotations

import textwrap

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap

from experiments.figures.base import DOUBLE, NEUTRAL, SMALL, Look, Sheet, SweepFigure, blank
from experiments.figures.factors import choose, ordered
from experiments.figures.panels import LETTER, PANELS, keep
from experiments.numerals import digits, number
from experiments.results import Results

VALUES = ("who", "utility", "low", "high", "runs")
COLORS = LinearSegmentedColormap.from_list("payoffs", colormaps["PRGn"](np.linspace(0.2, 0.8, 9)))
"""Purple a loss, green a gain; so light that black numbers can be read on all of it."""
DIGIT = 0.62 * (SMALL + 0.5) / 72
"""Inches of a digit in a cell, more or less."""
NAME = 0.6 * SMALL / 72
"""Inches of a letter beside a row, more or less."""
SCALES = {1e3: "thousands", 1e6: "millions", 1e9: "billions"}
"""Units that numbers are in where cells are small."""
WRAPPED = 13
"""Letters of a line of a name beside a row, on a small screen."""
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
    summary = results.summary(chosen.shown, of, named=False)
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


def draw(table: pd.DataFrame, look: Look) -> Sheet:
    """Draw a matrix per kind of device, in one scale of colours with white at 0."""
    notes: list[str] = []
    factors = [c for c in table.columns if c not in VALUES]
    count = {f: table[f].nunique() for f in factors}
    across, down = sorted(factors, key=count.__getitem__)
    table = keep(keep(table, across, PANELS // 2, look, notes), down, PANELS, look, notes)
    across_levels, down_levels = look.levels(table[across]), look.levels(table[down])
    across_names = [look.labels.level(across, level) for level in across_levels]
    down_names = [look.labels.level(down, level) for level in down_levels]
    if look.stacked:
        down_names = [textwrap.fill(name, WRAPPED) for name in down_names]
    whose = [who for who in WHOSE if (table["who"] == who).any()]

    # Side by side; one above the other where numbers, which never slant, have more room so.
    decimals = digits(table["utility"])
    longest = _longest(table["utility"], decimals)
    margin = NAME * max(len(line) for name in down_names for line in name.split("\n")) + 0.35
    wanted = max(2.0, (longest + 0.05) * len(across_levels))
    beside = 1 if look.narrow or margin + len(whose) * wanted > DOUBLE else len(whose)
    width = look.inches(margin + beside * max(2.0, 0.75 * len(across_levels)))
    cell = (width - margin) / beside / len(across_levels)
    table, unit, decimals = _scaled(table, decimals, cell)
    longest = _longest(table["utility"], decimals)
    size = (SMALL + 0.5) * min(1.0, cell / longest)
    if size < SMALL:
        notes.append("The cells have no room for numbers; the CSV has them.")

    # Names of columns: in several lines where their words have room, else slanted.
    letters = int(0.95 * cell / LETTER)
    slanted = max(len(word) for name in across_names for word in name.split()) > letters
    wrapped = [textwrap.fill(name, max(1, letters)) for name in across_names]
    names = across_names if slanted else wrapped
    slant = {"rotation": 30, "ha": "right", "rotation_mode": "anchor"} if slanted else {}
    lines = max(name.count("\n") for name in names) + 1
    foot = 0.25 + 0.4 * _rise(across_names) if slanted else 0.18 + 0.13 * lines

    # A matrix of each kind of device; those above others need no names of columns.
    rows = len(whose) // beside
    sheet = blank(width, 0.35 + foot + rows * (0.3 + 0.26 * len(down_levels)))
    panels = sheet.subplots(rows, beside, sharey=True, sharex=True, squeeze=False).ravel()
    limit = float(table["utility"].abs().max()) or 1.0
    for axes, who in zip(panels, whose, strict=True):
        part = table[table["who"] == who]
        grid = part.pivot(index=down, columns=across, values="utility")
        grid = grid.reindex(index=down_levels, columns=across_levels)
        grid = grid.set_axis(down_names, axis=0).set_axis(across_names, axis=1)
        _matrix(axes, grid, limit, decimals, size)
        title = f"{WHOSE[who]}, in {unit}" if unit and size >= SMALL else WHOSE[who]
        axes.set_title(title, loc="left", fontweight="bold")
        axes.set_xticklabels(names, **{"rotation": 0, **slant})
        axes.set_yticklabels(down_names, rotation=0)
        axes.set(xlabel="", ylabel="")
    sheet.supxlabel(look.labels.factor(across), fontsize="medium")
    sheet.supylabel(look.labels.factor(down), fontsize="medium")
    return Sheet(sheet, notes)


def _scaled(table: pd.DataFrame, decimals: int, cell: float) -> tuple[pd.DataFrame, str, int]:
    """Return amounts in the first unit in which they fit cells of so many inches; its name.

    The name is empty for base units. Also the decimals to print.
    """
    amounts, unit = table["utility"], ""
    for scale, word in SCALES.items():
        fits = (SMALL + 0.5) * cell >= SMALL * _longest(table["utility"], decimals)
        if not fits and amounts.abs().max() >= scale:
            table, unit, decimals = table.assign(utility=amounts / scale), word, 1
    return table, unit, decimals


def _longest(values: pd.Series, decimals: int) -> float:
    """Return the width in inches of the longest number, with a margin."""
    return max(len(number(value, decimals)) for value in values) * DIGIT + 0.06


def _rise(names: list[str]) -> float:
    """Return the height in inches of the longest name, slanted."""
    return LETTER * max(map(len, names))


def _matrix(axes: Axes, grid: pd.DataFrame, limit: float, decimals: int, size: float) -> None:
    """Draw a matrix of black numbers on their colours; white is 0, full colours are ± `limit`.

    `size` of the numbers is in points; below `SMALL` there are none.
    """
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
        text, color = "none", NEUTRAL
        if not np.isnan(value):
            text, color = number(value, decimals), "black"
        if size >= SMALL:
            axes.text(j + 0.5, i + 0.5, text, ha="center", va="center", fontsize=size, color=color)
    axes.grid(False)
    axes.tick_params(length=0)


FIGURE = SweepFigure(
    name="payoffs",
    title="Payoffs",
    caption="Mean utility per device and run, in base units unless a title says in what: income "
    "and what is locked, less costs. White is 0, green a gain, purple a loss, in the same scale "
    "for both.",
    needs={"participants": ("device", "adversary", "utility")},
    data=data,
    draw=draw,
    order=30,
)
