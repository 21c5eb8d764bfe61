"""Outcomes against a numeric factor of a grid: lines with bands, honest against adversary."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, MaxNLocator

from experiments.figures.base import COLUMNS, LINE, WHO, Look, Sheet, SweepFigure, thousands
from experiments.figures.factors import (
    choose,
    continuous,
    crossed,
    each,
    is_number,
    ordered,
    share_explained,
)
from experiments.figures.panels import LETTER, grid_of, words
from experiments.intervals import band, bands_in_words
from experiments.labels import shorten
from experiments.numerals import plain
from experiments.results import Results

ROWS = {
    "utility": ("honest_utility", "adversary_utility"),
    "accuracy": ("accuracy",),
    "attack success": ("attack_success",),
}
"""Rows of panels: the name of each, and the outcomes that are its lines."""
LABELS = {
    "utility": "utility per device\n(base units)",
    "accuracy": "final test\naccuracy",
    "attack success": "attack success\n(share)",
}
SHARES = ("accuracy", "attack_success")
"""Outcomes between 0 and 1: no band goes beyond."""
WHOSE = {"honest_utility": "honest", "adversary_utility": "adversary"}
VALUES = ("factor", "value", "outcome", "mean", "low", "high", "seeds")


def data(results: Results) -> pd.DataFrame:
    """Return one row per numeric factor, level and outcome: the mean over seeds and its band.

    Of several numeric factors each stands alone, averaged over all others; beside a single one
    stands the other factor that matters most. Factors that are drawn from a range are none of them.
    """
    outcomes = ordered(results, results.outcomes())
    shown = [o for row in ROWS.values() for o in row if o in outcomes and outcomes[o].notna().any()]
    if outcomes.empty or not shown:
        return pd.DataFrame()
    plan, sampled = results.runs(), continuous(results)
    free = [f for f in crossed(results, outcomes) if f not in sampled and is_number(plan[f])]
    free = [f for f in free if outcomes[f].nunique() > 1]
    if not free:
        return pd.DataFrame()
    free.sort(key=lambda f: -_explained(outcomes, f, shown))
    beside: list[str] = []
    others = [f for f in results.factors if f not in free[:1] and outcomes[f].nunique() > 1]
    if len(free) == 1:
        chosen = choose(results, outcomes, shown, 2)
        beside = [f for f in chosen.shown if f not in free][:1]
        others = [f for f in others if f not in beside]
    parts = [
        _means(outcomes, factor, outcome, beside) for factor in free[:COLUMNS] for outcome in shown
    ]
    table = pd.concat(parts, ignore_index=True).dropna(subset="mean")
    table = table.astype({f: outcomes[f].dtype for f in beside})[[*beside, *VALUES]]
    notes = [bands_in_words(table["seeds"])]
    if len(free) > 1:
        notes.append("Each factor stands alone, averaged over the others.")
    elif others:
        notes.append(f"Averaged over {results.labels.all_of(others)}.")
    table.attrs["notes"] = notes
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
    beside = next((c for c in table.columns if c not in VALUES), "")
    split = beside or "factor"
    columns = look.levels(table[beside]) if beside else list(table["factor"].unique())
    most = look.most
    if len(columns) > most:
        what = look.labels.factor(beside) if beside else "the factors"
        notes.append(f"{most} of the {len(columns)} levels of {what} are drawn; the CSV has all.")
        columns = columns[:most]
    rows = [name for name, own in ROWS.items() if table["outcome"].isin(own).any()]
    width = look.inches({1: 3.4, 2: 5.0}.get(len(columns), 7.0))
    sheet, grid = grid_of(look, len(rows), len(columns), width, 1.35, sharex=bool(beside))
    letters = int((width - 0.8) / (1 if look.stacked else len(columns)) / LETTER)
    for i, name in enumerate(rows):
        for j, column in enumerate(columns):
            axes = grid[i, j]
            part = table[(table[split] == column) & table["outcome"].isin(ROWS[name])]
            _draw_panel(axes, part)
            factor = table["factor"].iloc[0] if beside else column
            axes.set(xlabel=look.labels.factor(factor), ylabel=LABELS[name])
            if not look.stacked:
                axes.label_outer()
            if beside and i == 0:
                title = shorten(look.labels.named(beside, column), letters)
                axes.set_title(title, loc="left", fontweight="bold")
    present = set(table["outcome"])
    who = {WHOSE[o]: WHO[WHOSE[o]] for o in WHOSE if o in present}
    if who:
        words(sheet, who)
    return Sheet(sheet, notes)


def _draw_panel(axes: Axes, part: pd.DataFrame) -> None:
    """Draw the line of each outcome over its band."""
    for outcome in part["outcome"].unique():
        own = part[part["outcome"] == outcome]
        color = WHO[WHOSE[outcome]] if outcome in WHOSE else LINE
        own = own.sort_values("value")
        axes.fill_between(
            own["value"], own["low"], own["high"], color=color, alpha=0.15, linewidth=0
        )
        axes.plot(own["value"], own["mean"], color=color, marker="o", markersize=3)
    axes.margins(0.05, 0.08)
    whole = bool((part["value"] % 1 == 0).all())
    axes.xaxis.set_major_locator(MaxNLocator(4, integer=whole))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: plain(value)))
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
