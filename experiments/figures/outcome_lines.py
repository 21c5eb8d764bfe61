"""One outcome of a sweep against a numeric factor: a line for each level of the one beside it."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.ticker import FuncFormatter

from experiments.figures.base import (
    DASHES,
    MARKERS,
    Look,
    Sheet,
    blank,
    level_style,
    level_ticks,
    thousands,
)
from experiments.figures.factors import (
    continuous,
    crossed,
    each,
    is_number,
    ordered,
    share_explained,
)
from experiments.figures.panels import words
from experiments.intervals import band, bands_in_words
from experiments.results import Results

LINES = len(MARKERS)
"""Most lines in the figure."""
VALUES = ("value", "mean", "low", "high", "seeds")


def outcome_by_level(results: Results, outcome: str) -> pd.DataFrame:
    """Return `by_level` of an outcome of each run; empty where it is the outcome of none."""
    outcomes = ordered(results, results.outcomes())
    if outcome not in outcomes:
        return pd.DataFrame()
    return by_level(results, outcomes, outcome)


def by_level(results: Results, rows: pd.DataFrame, column: str) -> pd.DataFrame:
    """Return a row for each level of a numeric factor and of the one beside it.

    The numeric factor is the one that explains most; the factor beside it is the one with the
    fewest levels, of those with names if there are any. Empty where no factor of a grid has
    numbers, or nothing is known.

    Args:
        results: the sweep.
        rows: factors, `seed` and what is averaged; a seed counts once, however many rows it has.
        column: of rows: what is averaged, with mean and band over seeds.
    """
    averaged = rows[column].astype(float)
    rows = rows.assign(**{column: averaged})
    known = rows[averaged.notna()]
    if known.empty:
        return pd.DataFrame()
    plan, sampled = results.runs(), continuous(results)
    varied = [f for f in crossed(results, rows) if rows[f].nunique() > 1]
    numeric = [f for f in varied if is_number(plan[f]) and f not in sampled]
    if not numeric:
        return pd.DataFrame()
    explained = {f: share_explained(rows[f], averaged) for f in numeric}
    factor = max(numeric, key=lambda f: explained[f])
    rest = [f for f in varied if f != factor and f not in sampled]
    beside = sorted(rest, key=lambda f: f in numeric)[:1]
    found = []
    for key, part in each(known, [*beside, factor]):
        values = part.groupby("seed")[column].mean().to_numpy(float)
        low, high = band(values)
        row = dict(zip(beside, key, strict=False))
        row |= {"factor": factor, "value": float(key[-1]), "mean": values.mean()}
        found.append(row | {"low": low, "high": high, "seeds": len(values)})
    table = pd.DataFrame(found).astype({f: rows[f].dtype for f in beside})
    table.attrs["notes"] = [bands_in_words(table["seeds"], "Whiskers")]
    others = [f for f in varied if f not in (*beside, factor)]
    if others:
        table.attrs["notes"].append(f"Averaged over {results.labels.all_of(others)}.")
    return table


def draw_outcome(table: pd.DataFrame, look: Look, ylabel: str, *, share: bool = False) -> Sheet:
    """Draw a line for each level; intervals stand at the marks. `share`: values are in 0..1."""
    notes: list[str] = []
    by = next((c for c in table.columns if c not in (*VALUES, "factor")), "")
    levels = look.levels(table[by]) if by else [""]
    if len(levels) > LINES:
        notes.append(f"{LINES} of the {len(levels)} levels are drawn; the CSV has all.")
        levels = levels[:LINES]
    sheet = blank(look.inches(5.0), 3.0)
    axes = sheet.subplots()
    styles, colors = [], {}
    for i, level in enumerate(levels):
        part = table[table[by] == level] if by else table
        style = {**level_style(i), "linestyle": DASHES[i % len(DASHES)], "marker": MARKERS[i]}
        part = part.sort_values("value")
        axes.plot(part["value"], part["mean"], **style, markersize=3.5)
        edges = np.array([part["low"], part["high"]], dtype=float)
        if share:
            edges = edges.clip(0, 1)
        axes.vlines(part["value"], *edges, color=style["color"], linewidth=0.9, alpha=0.8)
        if by:
            colors[look.labels.whole(by, level)] = str(style["color"])
            styles.append({**style, "markersize": 3.5})
    axes.set(
        xlabel=look.labels.factor(table["factor"].iloc[0]),
        ylabel=ylabel,
    )
    if table["mean"].abs().max() >= 1_000:
        axes.yaxis.set_major_formatter(FuncFormatter(thousands))
    if share:
        axes.set_ylim(-0.03, 1.03)
    else:
        axes.axhline(0, color="#CCCCCC", linewidth=0.8, zorder=0)
    if colors:
        words(sheet, colors, styles)
    factor = table["factor"].iloc[0]
    sheet.draw_without_rendering()  # the size of the panel is known only now
    level_ticks(axes, {value: look.labels.level(factor, value) for value in table["value"]})
    return Sheet(sheet, notes)
