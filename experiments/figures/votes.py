"""How far each update was from the validator's baseline (figure 4 of the VBFL code)."""

from __future__ import annotations

import pandas as pd
from matplotlib.axes import Axes

from experiments.figures.base import ADVERSARY, HONEST, NEUTRAL, Figure
from experiments.rundir import RunResult


def data(run: RunResult) -> pd.DataFrame:
    """One row per vote; vad = accuracy of the baseline minus accuracy of the update."""
    if run.votes.empty:
        return pd.DataFrame()
    table = run.votes[
        ["round", "validator", "worker", "worker_adversary", "vad", "vote", "status"]
    ].copy()
    table["threshold"] = run.settings["validation"]["params"].get("threshold")
    return table


def draw(table: pd.DataFrame, axes: Axes) -> None:
    """One point per vote and the threshold."""
    for bad, color, label in ((False, HONEST, "honest worker"), (True, ADVERSARY, "adversary")):
        part = table[table["worker_adversary"] == bad]
        if not part.empty:
            shift = 0.15 if bad else -0.15
            axes.scatter(
                part["round"].astype(float) + shift,
                part["vad"],
                s=9,
                color=color,
                alpha=0.45,
                linewidth=0,
                label=label,
            )
    threshold = table["threshold"].iloc[0]
    if pd.notna(threshold):
        axes.axhline(threshold, color=NEUTRAL, linestyle="--", linewidth=1)
        axes.annotate(
            f"threshold {threshold:g}", (1, threshold), xycoords=("axes fraction", "data"), xytext=(-4, 3),
            textcoords="offset points", ha="right", fontsize=9, color=NEUTRAL,
        )  # fmt: skip
    axes.set(xlabel="round", ylabel="vad (accuracy, baseline − update)")
    axes.legend(loc="upper left", markerscale=2)


FIGURE = Figure(
    "votes",
    "Vote differences",
    "One point per vote: how much worse the update is than the validator's own baseline. Above the line the rule says reject.",
    data,
    draw,
)
