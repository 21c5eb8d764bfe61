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
RESAMPLES = 2_000


def data(results: Results) -> pd.DataFrame:
    """Return one row per shown levels and round: mean accuracy, its band, the number of seeds."""
    runs = ordered(results, results.rounds(columns=["round", "accuracy"]))
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
    table.attrs["notes"] = chosen.notes
    return table


def bands(part: pd.DataFrame) -> pd.DataFrame:
    """Return per round the mean over seeds and its 95 % band.

    The band is from the 2.5 to the 97.5 % quantile of 2,000 bootstrapped means; whole seeds are
    drawn, so that the rounds of a seed stay together.
    """
    wide = part.pivot(index="seed", columns="round", values="accuracy")
    whole = wide.dropna().to_numpy()
    low = high = np.full(wide.shape[1], np.nan)
    n = len(whole)
    if n > 1:
        picks = np.random.default_rng(0).integers(n, size=(RESAMPLES, n))
        # How often each resample has each seed: one count over (resample, seed) numbered in rows.
        numbered = picks + n * np.arange(RESAMPLES)[:, None]
        counts = np.bincount(numbered.ravel(), minlength=RESAMPLES * n).reshape(RESAMPLES, n)
        weights = counts / n
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
    caption="Accuracy of the most-held model on the reported test set: mean over seeds, with the "
    "95 % bootstrap band of that mean.",
    needs={"rounds": ("round", "accuracy")},
    data=data,
    draw=draw,
    order=10,
)
