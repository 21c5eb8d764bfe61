"""Accuracy per round over the cells of a sweep, with bands over seeds."""

from __future__ import annotations

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from experiments.figures.base import HONEST, LEVELS, Sheet, SweepFigure
from experiments.figures.factors import choose, each, label, ordered
from experiments.figures.panels import CURVES, keep, levels, multiples, name_lines
from experiments.results import Results

VALUES = ("round", "accuracy", "low", "high", "seeds")


def data(results: Results) -> pd.DataFrame:
    """One row per shown levels and round: mean accuracy over seeds, its band, and how many seeds."""
    runs = ordered(results, results.rounds(columns=["round", "accuracy"]))
    if runs.empty:
        return pd.DataFrame()
    per_run = runs.groupby("run_id", sort=False).agg(
        {**dict.fromkeys(results.factors, "first"), "seed": "first", "accuracy": "mean"}
    )
    chosen = choose(results, per_run, ["accuracy"], 3, by_effect=False)
    # A seed counts once, however many cells are pooled: these share its draws.
    per_seed = (
        runs.groupby([*chosen.shown, "seed", "round"], observed=True)["accuracy"]
        .mean()
        .reset_index()
    )
    parts = []
    for key, part in each(per_seed, chosen.shown):
        found = bands(part)
        found[chosen.shown] = key
        parts.append(found)
    table = ordered_like(pd.concat(parts, ignore_index=True), runs, chosen.shown)[
        [*chosen.shown, *VALUES]
    ]
    table.attrs["notes"] = chosen.notes
    return table


def bands(part: pd.DataFrame) -> pd.DataFrame:
    """Mean over seeds per round, and the 2.5 and 97.5 % quantiles of 2,000 bootstrapped means (of whole seeds)."""
    wide = part.pivot(index="seed", columns="round", values="accuracy")
    whole = wide.dropna().to_numpy()
    low = high = np.full(wide.shape[1], np.nan)
    n = len(whole)
    if n > 1:
        picks = np.random.default_rng(0).integers(n, size=(2_000, n))
        weights = (
            np.bincount(
                (picks + n * np.arange(2_000)[:, None]).ravel(), minlength=2_000 * n
            ).reshape(2_000, n)
            / n
        )
        low, high = np.quantile(weights @ whole, [0.025, 0.975], axis=0)
    return pd.DataFrame(
        {
            "round": wide.columns.astype(int),
            "accuracy": wide.mean().to_numpy(),
            "low": low,
            "high": high,
            "seeds": wide.count().to_numpy(),
        }
    )


def ordered_like(table: pd.DataFrame, model: pd.DataFrame, factors: list[str]) -> pd.DataFrame:
    """Factors as the ordered categories of another frame."""
    return table.astype({f: model[f].dtype for f in factors})


def draw(table: pd.DataFrame) -> Sheet:
    """Lines and bands; colour is the factor with the fewest levels, panels are the next two."""
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
            part = panel.part[panel.part[color_by] == level] if color_by else panel.part
            if not part.empty:
                _curve(panel.axes, part, color)
                lines.append(
                    (
                        part["round"].iloc[-1],
                        part["accuracy"].iloc[-1],
                        label(color_by, level) if color_by else "",
                        color,
                    )
                )
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
    caption="Accuracy of the most-held model on the reported test set: mean over seeds, with the 95 % bootstrap band of that mean.",
    needs={"rounds": ("round", "accuracy")},
    data=data,
    draw=draw,
    order=10,
)
