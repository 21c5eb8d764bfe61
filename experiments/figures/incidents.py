"""Acts that were refused per round: malformed updates, forgeries, late calls."""

from __future__ import annotations

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from experiments.figures.base import BESIDE_AXIS, Figure, rounds_axis
from experiments.figures.over_rounds import label_curves
from experiments.runresult import RunResult

MOST = 8


def data(run: RunResult) -> pd.DataFrame:
    """Return one row per round and kind of incident: how many there were. Empty without any."""
    found = run.table("incidents")[["round", "kind"]].dropna().astype({"kind": str})
    if found.empty:
        return pd.DataFrame()
    kinds = found["kind"].value_counts().index
    counts = found.groupby(["round", "kind"]).size().unstack("kind", fill_value=0)
    counts = counts.reindex(index=run.rounds["round"].astype(int), columns=kinds, fill_value=0)
    counts.index.name = "round"
    return counts.reset_index().melt("round", list(kinds), "kind", "count")


def draw(table: pd.DataFrame, axes: Axes) -> None:
    """Draw a line per kind, the most frequent ones."""
    lines = {}
    for kind in list(dict.fromkeys(table["kind"]))[:MOST]:
        part = table[table["kind"] == kind]
        lines[kind] = (part["round"], part["count"])
    label_curves(axes, lines)
    axes.set(xlabel="round", ylabel="refused acts")
    most = max(1, int(table["count"].max()))
    axes.set_ylim(-BESIDE_AXIS * most, 1.05 * most)
    axes.yaxis.set_major_locator(MaxNLocator(5, integer=True))
    rounds_axis(axes, int(table["round"].max()))


FIGURE = Figure(
    name="incidents",
    title="Refused acts per round",
    caption="Malformed updates (a value is missing, infinite or not a number), forgeries and other "
    "acts that were refused, by kind.",
    needs={"incidents": ("round", "kind"), "rounds": ("round",)},
    data=data,
    draw=draw,
    order=60,
)
