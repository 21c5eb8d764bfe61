"""How far each update was from the validator's baseline (figure 4 of the VBFL code)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from experiments.figures.base import ADVERSARY, HONEST, NEUTRAL, Figure, beside_line
from experiments.figures.panels import words
from experiments.runfiles import setting
from experiments.runresult import RunResult

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
    """Draw one point per vote, and the threshold; honest workers and adversaries side by side."""
    sheet = axes.get_figure(root=True)
    assert sheet is not None
    present = {}
    for bad, color, label, shift in (
        (False, HONEST, "honest workers' updates", -0.15),
        (True, ADVERSARY, "adversaries' updates", 0.15),
    ):
        part = table[table["worker_adversary"] == bad]
        if not part.empty:
            present[label] = color
            axes.scatter(
                part["round"].astype(float) + shift,
                part["vad"],
                s=9,
                color=color,
                alpha=0.45,
                linewidth=0,
            )
    limit = table["threshold"].iloc[0]
    if pd.notna(limit):
        axes.axhline(limit, color=NEUTRAL, linestyle="--", linewidth=1)
        beside_line(axes, limit, f"threshold\n{limit:g}")
    axes.set(xlabel="round", ylabel="accuracy loss against baseline")
    axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    words(sheet, present)


FIGURE = Figure(
    name="votes",
    title="Accuracy loss that validators measured",
    caption="One point per vote: how much lower the accuracy of the update is than that of the "
    "validator's own baseline (vad). Above the line the rule says reject.",
    needs={"votes": COLUMNS},
    data=data,
    draw=draw,
    order=30,
)
