"""Cumulative utility per device of each group over the rounds of a run."""

from __future__ import annotations

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter

from experiments.figures.base import Figure, rounds_axis, thousands
from experiments.figures.over_rounds import label_curves
from experiments.runresult import RunResult

MOST = 8


def data(run: RunResult) -> pd.DataFrame:
    """Return one row per round and group: mean, least and most cumulative utility of its devices.

    Empty for a run in which nobody ever gained or lost anything.
    """
    people = run.participants[["round", "device", "group", "utility"]].copy()
    if not people["utility"].fillna(0).any():
        return pd.DataFrame()
    people = people.astype({"group": str, "utility": float}).sort_values(["device", "round"])
    people["cumulative"] = people.groupby(["group", "device"])["utility"].cumsum()
    groups = people.groupby(["group", "round"], sort=False)["cumulative"]
    table = groups.agg(["mean", "min", "max", "count"]).reset_index()
    return table.rename(columns={"count": "devices"})


def draw(table: pd.DataFrame, axes: Axes) -> None:
    """Draw a line per group over the range of its devices."""
    names = list(dict.fromkeys(table["group"]))
    names.sort(key=lambda name: name != "honest")
    lines = {}
    for name in names[:MOST]:
        part = table[table["group"] == name]
        lines[name] = (part["round"].astype(int), part["mean"])
    colors = label_curves(axes, lines)
    for name, color in colors.items():
        part = table[table["group"] == name]
        axes.fill_between(
            part["round"].astype(int),
            part["min"],
            part["max"],
            color=color,
            alpha=0.12,
            linewidth=0,
        )
    axes.axhline(0, color="#999999", linewidth=0.8, zorder=0.5)
    axes.set(xlabel="round", ylabel="cumulative utility (base units)")
    axes.yaxis.set_major_formatter(FuncFormatter(thousands))
    rounds_axis(axes, int(table["round"].max()))


FIGURE = Figure(
    name="groups",
    title="Utility by group",
    caption="Cumulative utility per device: mean of each group, and the range over its devices.",
    needs={"participants": ("round", "device", "group", "utility")},
    data=data,
    draw=draw,
    order=15,
)
