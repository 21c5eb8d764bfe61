"""What came out against each factor that was sampled."""

from __future__ import annotations

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.ticker import FuncFormatter, MaxNLocator

from experiments.figures.base import HONEST, LEVELS, NEUTRAL, Sheet, SweepFigure, blank, thousands
from experiments.figures.factors import continuous, crossed, label, ordered, share_explained, short
from experiments.figures.panels import COLUMNS, levels, words
from experiments.results import Results

OUTCOMES = {
    "accuracy": "final test accuracy",
    "honest_utility": "utility, honest\n(base units)",
    "adversary_utility": "utility, adversaries\n(base units)",
}
NAMES = {
    "accuracy": "accuracy",
    "honest_utility": "honest devices' utility",
    "adversary_utility": "adversaries' utility",
}
VALUES = ("cell", "point", "seed", "factor", "value", "log", "outcome", "result")


def data(results: Results) -> pd.DataFrame:
    """Return one row per run, sampled factor and outcome.

    The factors that explain most of the first outcome (accuracy, where it is recorded) come first.
    """
    axes = continuous(results)
    outcomes = ordered(results, results.outcomes())
    axes = [f for f in axes if outcomes[f].nunique() > 2]
    if outcomes.empty or not axes:
        return pd.DataFrame()
    shown = [o for o in OUTCOMES if o in outcomes and outcomes[o].nunique() > 1]
    if not shown:
        return pd.DataFrame()
    colored = [f for f in crossed(results, outcomes) if outcomes[f].nunique() <= COLUMNS][:1]
    values = {f: outcomes[f].astype(float) for f in axes}
    axes.sort(key=lambda f: -share_explained(bins(values[f]), outcomes[shown[0]]))
    logs = {
        name
        for block in results.spec.get("design", [])
        for name, given in block["factors"].items()
        if _is_log(given)
    }
    # Cells that differ in colour alone are one point of the design.
    outcomes["point"] = outcomes.groupby(
        [f for f in results.factors if f not in colored], observed=True, sort=False
    ).ngroup()
    parts = [
        outcomes[[*colored, "cell", "point", "seed"]].assign(
            factor=f, value=values[f], log=f in logs, outcome=o, result=outcomes[o]
        )
        for f in axes
        for o in shown
    ]
    return pd.concat(parts, ignore_index=True).dropna(subset="result")


def _is_log(given: object) -> bool:
    return isinstance(given, dict) and bool(given.get("log", False))


def bins(values: pd.Series) -> pd.Series:
    """The number of each value's bin: up to ten values are their own, more fall into about eight bins with as many runs each."""
    if values.nunique() <= 10:
        return values.rank(method="dense")
    return pd.qcut(values, min(8, max(2, values.nunique() // 3)), labels=False, duplicates="drop")


def means(part: pd.DataFrame) -> pd.DataFrame:
    """Per bin of cells: mean value, mean result and its standard error; the seeds of a cell count as one."""
    part = part.groupby("cell")[["value", "result"]].mean()
    told = part.groupby(bins(part["value"])).agg(
        value=("value", "mean"), result=("result", "mean"), se=("result", "sem")
    )
    return told.reset_index(drop=True)


def draw(table: pd.DataFrame) -> Sheet:
    """A scatter per factor (across) and outcome (down) under the means of its bins."""
    notes: list[str] = []
    color_by = next((c for c in table.columns if c not in VALUES), "")
    factors = list(table["factor"].unique())
    if len(factors) > COLUMNS:
        notes.append(
            f"The {COLUMNS} factors that explain most of {NAMES[table['outcome'].iloc[0]]} are drawn; "
            f"the CSV has all {len(factors)}."
        )
        factors = factors[:COLUMNS]
    told = list(table["outcome"].unique())
    sheet = blank(max(4.2, 0.9 + 2.3 * len(factors)), 0.8 + 1.9 * len(told))
    grid = sheet.subplots(len(told), len(factors), sharex="col", sharey="row", squeeze=False)
    colors = (
        {label(color_by, v): c for v, c in zip(levels(table[color_by]), LEVELS, strict=False)}
        if color_by
        else {"": HONEST}
    )
    named = table.assign(level=[label(color_by, v) for v in table[color_by]] if color_by else "")
    for i, outcome in enumerate(told):
        for j, factor in enumerate(factors):
            axes, part = (
                grid[i, j],
                named[(named["outcome"] == outcome) & (named["factor"] == factor)],
            )
            hues = colors
            if _alike(part):
                part = part.drop_duplicates(["point", "seed"]).assign(level="")
                hues = {"": NEUTRAL}
            sns.scatterplot(
                part,
                x="value",
                y="result",
                hue="level",
                palette=hues,
                s=14,
                alpha=0.4,
                linewidth=0,
                legend=False,
                ax=axes,
            )
            for level, color in hues.items():
                mean = means(part[part["level"] == level])
                axes.errorbar(
                    mean["value"],
                    mean["result"],
                    2 * mean["se"].fillna(0),
                    color=color,
                    linewidth=1.6,
                    marker="o",
                    markersize=3.5,
                )
            axes.set(xlabel=short(factor), ylabel=OUTCOMES[outcome])
            if part["log"].any():
                axes.set_xscale("log")
            else:
                axes.xaxis.set_major_locator(
                    MaxNLocator(4, integer=bool((part["value"] % 1 == 0).all()))
                )
            low, high = table.loc[table["outcome"] == outcome, "result"].agg(["min", "max"])
            axes.set_ylim(
                low - 0.06 * (high - low), high + 0.06 * (high - low)
            )  # bars may reach farther than results can
            if outcome != "accuracy":
                axes.yaxis.set_major_formatter(FuncFormatter(thousands))
            axes.label_outer()
    if color_by:
        words(sheet, colors)
    return Sheet(sheet, notes)


def _alike(part: pd.DataFrame) -> bool:
    """Whether colour makes no difference: the same points have the same results."""
    spread = part.groupby(["point", "seed"])["result"]
    return bool(part["level"].nunique() > 1 and np.isclose(spread.std(ddof=0).max(), 0))


FIGURE = SweepFigure(
    name="responses",
    title="Outcome against each sampled factor",
    caption="One point per run; the line joins means of bins with as many cells each, bars are two standard errors. "
    "Grey: colour makes no difference.",
    needs={"participants": ("device", "adversary", "utility")},
    data=data,
    draw=draw,
    order=40,
)
