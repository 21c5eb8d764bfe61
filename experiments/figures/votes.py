"""How far each update was from the validator's baseline (figure 4 of the VBFL code)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd
from matplotlib.axes import Axes

from experiments.figures.base import ADVERSARY, HONEST, NEUTRAL, Figure, setting
from experiments.rundir import RunResult

COLUMNS = ("round", "validator", "worker", "worker_adversary", "vad", "vote", "status")


def data(run: RunResult) -> pd.DataFrame:
    """Return one row per vote; vad = accuracy of the baseline minus accuracy of the update."""
    table = run.votes[list(COLUMNS)].copy()
    table["threshold"] = threshold(run.settings)
    return table


def threshold(settings: Mapping[str, Any]) -> float | None:
    """Return the threshold of a scenario's validation rule; None for a rule without one."""
    value = setting(settings, "validation.params.threshold")
    return float(value) if isinstance(value, int | float) else None


def draw(table: pd.DataFrame, axes: Axes) -> None:
    """Draw one point per vote, and the threshold."""
    for bad, color, label, shift in (
        (False, HONEST, "honest worker", -0.15),
        (True, ADVERSARY, "adversary", 0.15),
    ):
        part = table[table["worker_adversary"] == bad]
        if not part.empty:
            axes.scatter(
                part["round"].astype(float) + shift,
                part["vad"],
                s=9,
                color=color,
                alpha=0.45,
                linewidth=0,
                label=label,
            )
    limit = table["threshold"].iloc[0]
    if pd.notna(limit):
        axes.axhline(limit, color=NEUTRAL, linestyle="--", linewidth=1)
        axes.annotate(
            f"threshold {limit:g}",
            (1, limit),
            xycoords=("axes fraction", "data"),
            xytext=(-4, 3),
            textcoords="offset points",
            ha="right",
            fontsize=9,
            color=NEUTRAL,
        )
    axes.set(xlabel="round", ylabel="vad (accuracy, baseline − update)")
    axes.legend(loc="upper left", markerscale=2)


FIGURE = Figure(
    name="votes",
    title="Vote differences",
    caption="One point per vote: how much worse the update is than the validator's own baseline. "
    "Above the line the rule says reject.",
    needs={"votes": COLUMNS},
    data=data,
    draw=draw,
    order=30,
)
