"""Accuracy per round over the cells of a sweep, with bands over seeds."""

from __future__ import annotations

import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from experiments.figures.base import HONEST, LEVELS, Sheet, SweepFigure
from experiments.figures.factors import choose, each, label, ordered
from experiments.figures.panels import CURVES, keep, levels, multiples, name_lines
from experiments.intervals import in_words, interval
from experiments.results import Results

VALUES = ("round", "accuracy", "low", "high", "seeds")


def data(results: Results) -> pd.DataFrame:
    """Return one row per shown levels and round: mean accuracy, its band, the number of seeds."""
    known = results.rounds(columns=["round", "accuracy"]).dropna(subset="accuracy")
    runs = ordered(results, known)
    if runs.empty:
        return pd.DataFrame()
    first = dict.fromkeys([*results.factors, "seed"], "first")
    per_run = runs.groupby("run_id", sort=False).agg({**first, "accuracy": "mean"})
    chosen = choose(results, per_run, ["accuracy"], 3, by_effect=False)
    # A seed counts once, however many cells are pooled: these share its draws.
    pooled = runs.groupby([*chosen.shown, "seed", "round"], observed=True)
    per_seed = pooled["accuracy"].mean().reset_index()
    parts = []
    for key, part in each(per_seed, chosen.shown):
        band = bands(part)
        band[chosen.shown] = key
        parts.append(band)
    table = ordered_like(pd.concat(parts, ignore_index=True), runs, chosen.shown)
    table = table[[*chosen.shown, *VALUES]]
    table.attrs["notes"] = [in_words(table["seeds"], "Bands"), *chosen.notes]
    return table


def bands(part: pd.DataFrame) -> pd.DataFrame:
    """Return per round the mean over seeds, its 95 % interval, and how many seeds there are.

    Bounds are NaN for a single seed.
    """
    rows = []
    for at, values in part.groupby("round")["accuracy"]:
        low, high = interval(values.to_numpy(dtype=float))
        rows.append((int(str(at)), values.mean(), low, high, len(values)))
    return pd.DataFrame(rows, columns=list(VALUES))


def ordered_like(table: pd.DataFrame, model: pd.DataFrame, factors: list[str]) -> pd.DataFrame:
    """Return the table with its factors as the ordered categories of another frame."""
    return table.astype({f: model[f].dtype for f in factors})


def draw(table: pd.DataFrame) -> Sheet:
    """Draw lines and bands; colour is the factor with the fewest levels, panels the next two."""
    notes: list[str] = []
    color_by, *facets = [c for c in table.columns if c not in VALUES] or [""]
    if color_by:
        table = keep(table, color_by, CURVES, notes)
    shown = levels(table[color_by]) if color_by else [""]
    colors = dict(zip(shown, LEVELS if color_by else [HONEST], strict=False))
    sheet, panels = multiples(table, facets, notes)
    ends = {}
    for panel in panels:
        lines = []
        for level, color in colors.items():
            part = panel.part
            name = ""
            if color_by:
                part = part[part[color_by] == level]
                name = label(color_by, level)
            if not part.empty:
                _curve(panel.axes, part, color)
                lines.append((part["round"].iloc[-1], part["accuracy"].iloc[-1], name, color))
        if panel.last:
            ends[panel.axes] = lines
    sheet.supxlabel("round", fontsize=10)
    sheet.supylabel("test accuracy", fontsize=10)
    name_lines(sheet, ends)
    return Sheet(sheet, notes)


def _curve(axes: Axes, part: pd.DataFrame, color: str) -> None:
    axes.fill_between(
        part["round"], part["low"], part["high"], color=color, alpha=0.18, linewidth=0
    )
    sns.lineplot(
        part,
        x="round",
        y="accuracy",
        color=color,
        ax=axes,
        errorbar=None,
        linewidth=1.6,
        legend=False,
    )
    axes.set(xlabel="", ylabel="", xlim=(1, max(2, part["round"].max())))
    axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))


FIGURE = SweepFigure(
    name="accuracy-curves",
    title="Accuracy per round",
    caption="Accuracy of the model held by most devices on the reported test set: mean over seeds.",
    needs={"rounds": ("round", "accuracy")},
    data=data,
    draw=draw,
    order=10,
)
