"""One outcome of a sweep against a numeric factor: a line for each level of a factor with names."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.ticker import FuncFormatter, MaxNLocator

from experiments.figures.base import DASHES, MARKERS, Look, Sheet, blank, level_style
from experiments.figures.factors import continuous, crossed, each, is_number, ordered
from experiments.figures.panels import words
from experiments.intervals import band, bands_in_words
from experiments.labels import shorten
from experiments.numerals import plain
from experiments.results import Results

LINES = len(MARKERS)
"""Most lines in the figure."""
LETTERS = 24
VALUES = ("value", "mean", "low", "high", "seeds")


def outcome_by_level(results: Results, outcome: str) -> pd.DataFrame:
    """Return a row for each level of a numeric factor and of the one beside it.

    With mean and band over seeds; the factor beside it is the one with the fewest levels that has
    names. Empty where no factor of a grid has numbers, or the outcome is none of any run.
    """
    outcomes = ordered(results, results.outcomes())
    if outcomes.empty or outcome not in outcomes or outcomes[outcome].notna().sum() == 0:
        return pd.DataFrame()
    plan, sampled = results.runs(), continuous(results)
    varied = [f for f in crossed(results, outcomes) if outcomes[f].nunique() > 1]
    numeric = [f for f in varied if is_number(plan[f]) and f not in sampled]
    named = [f for f in varied if f not in numeric][:1]
    if not numeric:
        return pd.DataFrame()
    factor, rows = numeric[0], []
    for key, part in each(outcomes, [*named, factor]):
        # A seed counts once, however many cells are averaged.
        values = part.groupby("seed")[outcome].mean().dropna().to_numpy(float)
        if len(values):
            low, high = band(values)
            row = dict(zip(named, key, strict=False))
            row |= {"factor": factor, "value": float(key[-1]), "mean": values.mean()}
            rows.append(row | {"low": low, "high": high, "seeds": len(values)})
    table = pd.DataFrame(rows).astype({f: outcomes[f].dtype for f in named})
    table.attrs["notes"] = [bands_in_words(table["seeds"])]
    others = [f for f in varied if f not in (*named, factor)]
    if others:
        table.attrs["notes"].append(f"Averaged over {results.labels.all_of(others)}.")
    return table


def draw_outcome(table: pd.DataFrame, look: Look, ylabel: str) -> Sheet:
    """Draw a line for each level; intervals stand at the marks."""
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
        axes.vlines(part["value"], *edges, color=style["color"], linewidth=0.9, alpha=0.8)
        if by:
            colors[shorten(look.labels.named(by, level), LETTERS)] = str(style["color"])
            styles.append({**style, "markersize": 3.5})
    axes.set(
        xlabel=look.labels.factor(table["factor"].iloc[0]),
        ylabel=ylabel,
    )
    axes.xaxis.set_major_locator(MaxNLocator(5, integer=bool((table["value"] % 1 == 0).all())))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: plain(value)))
    axes.axhline(0, color="#CCCCCC", linewidth=0.8, zorder=0)
    if colors:
        words(sheet, colors, styles)
    return Sheet(sheet, notes)
