"""Accuracy of the global model per round (figures 1 and 5 of the VBFL code)."""

from __future__ import annotations

import pandas as pd
from matplotlib.axes import Axes

from experiments.figures.base import HONEST, Figure
from experiments.rundir import RunResult


def data(run: RunResult) -> pd.DataFrame:
    """One row per round: accuracy of the model that most devices hold, and the range over devices."""
    return run.rounds[["round", "accuracy", "accuracy_min", "accuracy_max"]]


def draw(table: pd.DataFrame, axes: Axes) -> None:
    """The line of the most-held model over the band of all devices."""
    rounds = table["round"].astype(int)
    axes.fill_between(
        rounds,
        table["accuracy_min"],
        table["accuracy_max"],
        color=HONEST,
        alpha=0.18,
        linewidth=0,
        label="range over devices",
    )
    axes.plot(rounds, table["accuracy"], color=HONEST, label="model that most devices hold")
    axes.set(xlabel="round", ylabel="test accuracy", ylim=(0, 1), xlim=(1, max(2, rounds.max())))
    if (table["accuracy_max"] - table["accuracy_min"]).max() > 0:
        axes.legend(loc="lower right")


FIGURE = Figure(
    "accuracy",
    "Global accuracy per round",
    "Accuracy on the reported test set. The band spans the models that devices hold: they differ where chains fork, and where "
    "devices are away or shut out.",
    data,
    draw,
)
