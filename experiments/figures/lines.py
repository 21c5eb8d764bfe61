"""Outcomes against a numeric factor of a grid: a line for each level of the compared factor.

Without one the lines are honest devices and adversaries.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas
from matplotlib.ticker import FuncFormatter, MaxNLocator

from experiments.figures.base import (
    BANDS,
    COLUMNS,
    LINE,
    MARKERS,
    WHO,
    Look,
    Sheet,
    SweepFigure,
    level_style,
    level_ticks,
    thousands,
    whiskers_or_bands,
)
from experiments.figures.factors import (
    choose,
    compared,
    continuous,
    crossed,
    each,
    is_number,
    ordered,
    share_explained,
)
from experiments.figures.over_rounds import coinciding
from experiments.figures.panels import CURVES, LETTER, grid_of, keep, words
from experiments.intervals import band, bands_in_words
from experiments.labels import shorten
from experiments.results import Results

LABELS = {
    "honest_utility": "utility, honest\n(base units)",
    "adversary_utility": "utility, adversary\n(base units)",
    "accuracy": "final test\naccuracy",
    "attack_success": "attack success\n(share)",
}
"""Outcomes that are drawn, a row of panels each, and their names."""
WHOSE = {"honest_utility": "honest", "adversary_utility": "adversary"}
"""Outcomes that share a row where no factor makes the lines."""
UTILITY = "utility per device\n(base units)"
SHARES = ("accuracy", "attack_success")
"""Outcomes between 0 and 1: no band goes beyond."""
VALUES = ("factor", "value", "outcome", "mean", "low", "high", "seeds")


def data(results: Results) -> pd.DataFrame:
    """Return one row per numeric factor, level, outcome and line: the mean over seeds and its band.

    Lines are the levels of the factor with names that is compared. Of several numeric factors each
    stands alone, averaged over all others; a single one has a panel for each level of the other
    factor that matters most. Factors that are drawn from a range are none of them.
    """
    outcomes = ordered(results, results.outcomes())
    shown = [o for o in LABELS if o in outcomes and outcomes[o].notna().any()]
    if outcomes.empty or not shown:
        return pd.DataFrame()
    plan, sampled = results.runs(), continuous(results)
    free = [f for f in crossed(results, outcomes) if f not in sampled and is_number(plan[f])]
    free = [f for f in free if outcomes[f].nunique() > 1]
    if not free:
        return pd.DataFrame()
    free.sort(key=lambda f: -_explained(outcomes, f, shown))
    moving = choose(results, outcomes, shown, len(results.factors)).shown
    named = [f for f in moving if f not in free]
    by = compared(results, named)
    rest = [f for f in named if f != by] if len(free) == 1 else []
    beside = [f for f in (by, *rest[:1]) if f]
    parts = [
        _means(outcomes, factor, outcome, beside) for factor in free[:COLUMNS] for outcome in shown
    ]
    table = pd.concat(parts, ignore_index=True).dropna(subset="mean")
    table = table.astype({f: outcomes[f].dtype for f in beside})[[*beside, *VALUES]]
    curves = table[by].nunique() if by else BANDS
    notes = [bands_in_words(table["seeds"], whiskers_or_bands(curves))]
    averaged = [f for f in results.factors if f not in (*free[:1], *beside)]
    averaged = [f for f in averaged if outcomes[f].nunique() > 1]
    if len(free) > 1:
        notes.append("Each numeric factor stands alone, averaged over the others.")
    elif averaged:
        notes.append(f"Averaged over {results.labels.all_of(averaged)}.")
    table.attrs |= {"notes": notes, "lines": by}
    return table


def _explained(outcomes: pd.DataFrame, factor: str, shown: Sequence[str]) -> float:
    """Return how much of the outcomes a factor explains, summed over them."""
    return sum((share_explained(outcomes[factor], outcomes[o]) for o in shown), 0.0)


def _means(
    outcomes: pd.DataFrame, factor: str, outcome: str, beside: Sequence[str]
) -> pd.DataFrame:
    """Return the mean of an outcome at each level of a factor (and of the factor beside it).

    A seed counts once, however many cells are averaged.
    """
    rows = []
    for key, part in each(outcomes, [*beside, factor]):
        values = part.groupby("seed")[outcome].mean().dropna().to_numpy(float)
        mean = low = high = np.nan
        if len(values):
            mean = values.mean()
            low, high = band(values)
        if outcome in SHARES:
            low, high = np.clip([low, high], 0, 1)
        levels = dict(zip([*beside, factor], key, strict=True))
        row = {f: levels[f] for f in beside}
        row |= {"factor": factor, "value": float(levels[factor]), "outcome": outcome}
        rows.append(row | {"mean": mean, "low": low, "high": high, "seeds": len(values)})
    return pd.DataFrame(rows)


def draw(table: pd.DataFrame, look: Look) -> Sheet:
    """Draw a column of panels per factor, or per level beside it, and a row per kind of outcome."""
    notes: list[str] = []
    by = str(table.attrs.get("lines", ""))
    beside = next((c for c in table.columns if c not in (by, *VALUES)), "")
    if by:
        table = keep(table, by, CURVES, look, notes)
    split = beside or "factor"
    columns = look.levels(table[beside]) if beside else list(table["factor"].unique())
    most = look.most
    if len(columns) > most:
        what = f"levels of {look.labels.factor(beside)}" if beside else "factors"
        notes.append(f"{most} of the {len(columns)} {what} are drawn; the CSV has all.")
        columns = columns[:most]
    rows = _rows(table, by)
    width = look.inches({1: 3.4, 2: 5.0}.get(len(columns), 7.0))
    sheet, grid = grid_of(look, len(rows), len(columns), width, 1.35, sharex=bool(beside))
    letters = int((width - 0.8) / (1 if look.stacked else len(columns)) / LETTER)
    styles = _styles(table, by, look)
    for i, (label, own) in enumerate(rows.items()):
        for j, column in enumerate(columns):
            axes = grid[i, j]
            part = table[(table[split] == column) & table["outcome"].isin(own)]
            _draw_panel(axes, part, by or "outcome", styles)
            factor = table["factor"].iloc[0] if beside else column
            axes.set(xlabel=look.labels.factor(factor), ylabel=label)
            if not look.stacked:
                axes.label_outer()
            if beside and i == 0:
                title = shorten(look.labels.named(beside, column), letters)
                axes.set_title(title, loc="left", fontweight="bold")
        if by:
            notes += _alike(table[table["outcome"].isin(own)], by, split, label, styles, look)
    _legend(sheet, by, styles, look)
    if not look.stacked:
        sheet.align_ylabels()
    sheet.draw_without_rendering()  # the size of the panels is known only now
    for j, column in enumerate(columns):
        factor = table["factor"].iloc[0] if beside else column
        levels = table.loc[table["factor"] == factor, "value"].unique()
        for axes in grid[:, j]:
            level_ticks(axes, {level: look.labels.level(factor, level) for level in levels})
    return Sheet(sheet, notes)


def _rows(table: pd.DataFrame, by: str) -> dict[str, list[str]]:
    """Return the outcomes of each row of panels, by its name."""
    present = set(table["outcome"])
    rows: dict[str, list[str]] = {}
    for outcome, label in LABELS.items():
        if outcome in present:
            together = outcome in WHOSE and not by
            rows.setdefault(UTILITY if together else label, []).append(outcome)
    return rows


def _styles(table: pd.DataFrame, by: str, look: Look) -> dict[Any, dict[str, Any]]:
    """Return how each line is drawn: by level, or without a factor by outcome."""
    if by:
        levels = look.levels(table[by])
        return {
            level: {**level_style(place), "marker": MARKERS[place], "markersize": 3.5}
            for place, level in enumerate(levels)
        }
    present = [outcome for outcome in LABELS if (table["outcome"] == outcome).any()]
    return {
        outcome: {"color": WHO.get(WHOSE.get(outcome, ""), LINE), "marker": "o", "markersize": 3}
        for outcome in present
    }


def _alike(
    table: pd.DataFrame,
    by: str,
    split: str,
    label: str,
    styles: dict[Any, dict[str, Any]],
    look: Look,
) -> list[str]:
    """Return sentences about lines of a row that lie on each other in all its panels."""
    curves = {
        look.labels.named(by, level): table[table[by] == level]
        .set_index([split, "value"])
        .sort_index()
        for level in styles
    }
    drawn = {name: part for name, part in curves.items() if not part.empty}
    span = float(table["mean"].max() - table["mean"].min()) or 1.0
    where = label.partition("\n(")[0].replace("\n", " ")
    groups = coinciding({name: part["mean"] for name, part in drawn.items()}, 0.004 * span)
    return [
        f"{where[0].upper()}{where[1:]}: the lines of {', '.join(others)} and {last} coincide."
        for *others, last in groups
    ]


def _legend(sheet: Canvas, by: str, styles: dict[Any, dict[str, Any]], look: Look) -> None:
    """Name the lines above the panels: levels with their marks, else who is blue and orange."""
    if by:
        colors = {look.labels.whole(by, level): s["color"] for level, s in styles.items()}
        words(sheet, colors, list(styles.values()))
        return
    who = {WHOSE[o]: WHO[WHOSE[o]] for o in styles if o in WHOSE}
    if who:
        words(sheet, who)


def _draw_panel(
    axes: Axes, part: pd.DataFrame, key: str, styles: dict[Any, dict[str, Any]]
) -> None:
    """Draw the lines of a panel over their bands; with more than two, whiskers at the marks."""
    for level, style in styles.items():
        own = part[part[key] == level].sort_values("value")
        around = (own["value"], own["low"], own["high"])
        if len(styles) > BANDS and key != "outcome":
            axes.vlines(*around, color=style["color"], linewidth=0.9, alpha=0.8)
        else:
            axes.fill_between(*around, color=style["color"], alpha=0.15, linewidth=0)
        axes.plot(own["value"], own["mean"], **style)
    axes.margins(0.05, 0.08)
    axes.yaxis.set_major_locator(MaxNLocator(4))
    if part["mean"].abs().max() >= 1_000:
        axes.yaxis.set_major_formatter(FuncFormatter(thousands))


FIGURE = SweepFigure(
    name="lines",
    title="Outcome against each numeric factor",
    caption="Means over seeds at each level.",
    needs={"participants": ("device", "adversary", "utility")},
    data=data,
    draw=draw,
    order=25,
)
