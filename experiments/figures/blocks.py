"""Simulated time per round and to the winning block (figure 6 of the VBFL code)."""

from __future__ import annotations

import pandas as pd
from matplotlib.axes import Axes

from experiments.figures.base import ACCENT, LINE, Figure, rounds_axis
from experiments.runresult import RunResult


def data(run: RunResult) -> pd.DataFrame:
    """Return one row per round, simulated seconds; the winning block where there are blocks.

    Empty without blocks where all rounds but the last are equally long: they may be slices of
    time, whose length is given and no outcome. Two rounds do not tell.
    """
    block = ["block_time_s"] if run.has({"rounds": ("block_time_s",)}) else []
    table = run.rounds[["round", *block, "duration_s", "end_s"]]
    given = len(table) > 2 and table["duration_s"].iloc[:-1].nunique() == 1
    return table.iloc[:0] if given and not block else table


def draw(table: pd.DataFrame, axes: Axes) -> None:
    """Draw two lines: end of round and winning block."""
    rounds = table["round"].astype(int)
    axes.plot(
        rounds,
        table["duration_s"],
        color=LINE,
        marker="o",
        markersize=3,
        label="round, until the last device is done",
    )
    if "block_time_s" in table and table["block_time_s"].notna().any():
        axes.plot(
            rounds,
            table["block_time_s"],
            color=ACCENT,
            marker="o",
            markersize=3,
            label="until the winning block is generated",
        )
    axes.set(xlabel="round", ylabel="simulated seconds")
    rounds_axis(axes, int(rounds.max()))
    axes.set_ylim(bottom=0)
    axes.legend(loc="lower right")


FIGURE = Figure(
    name="block-times",
    title="Duration of rounds",
    caption="Simulated seconds by the scenario's cost model, never wall time.",
    needs={"rounds": ("round", "duration_s", "end_s")},
    data=data,
    draw=draw,
    order=40,
)
