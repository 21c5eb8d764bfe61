"""Accuracy of the global model per round (figures 1 and 5 of the VBFL code)."""

from __future__ import annotations

import pandas as pd
from matplotlib.axes import Axes

from experiments.figures.base import LINE, Figure, rounds_axis
from experiments.runresult import RunResult

BAND = ("accuracy_min", "accuracy_max")


def data(run: RunResult) -> pd.DataFrame:
    """Return one row per round: accuracy of the model held by most, and the range over devices."""
    band = list(BAND) if run.has({"rounds": BAND}) else []
    table = run.rounds[["round", "accuracy", *band]].copy()
    if band:
        table.attrs["notes"] = [
            "The band spans the models that devices hold: they differ where chains fork, and where "
            "devices are away or shut out."
        ]
    return table


def draw(table: pd.DataFrame, axes: Axes) -> None:
    """Draw the line of the model held by most devices over the band of all devices."""
    rounds = table["round"].astype(int)
    banded = set(BAND) <= set(table.columns)
    if banded:
        axes.fill_between(
            rounds,
            table["accuracy_min"],
            table["accuracy_max"],
            color=LINE,
            alpha=0.18,
            linewidth=0,
            label="range over devices",
        )
    axes.plot(rounds, table["accuracy"], color=LINE, label="model held by most devices")
    axes.set(xlabel="round", ylabel="test accuracy", ylim=(0, 1))
    rounds_axis(axes, int(rounds.max()))
    if banded and (table["accuracy_max"] - table["accuracy_min"]).max() > 0:
        axes.legend(loc="lower right")


FIGURE = Figure(
    name="accuracy",
    title="Global accuracy per round",
    caption="Accuracy on the reported test set.",
    needs={"rounds": ("round", "accuracy")},
    data=data,
    draw=draw,
    order=10,
)
