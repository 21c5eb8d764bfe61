"""Success of a targeted attack per round."""

from __future__ import annotations

import pandas as pd
from matplotlib.axes import Axes

from experiments.figures.base import ADVERSARY, Figure, rounds_axis
from experiments.runresult import RunResult


def data(run: RunResult) -> pd.DataFrame:
    """Return one row per round with a targeted attack: the share of samples that it gained."""
    return run.rounds[["round", "attack_success"]].dropna().reset_index(drop=True)


def draw(table: pd.DataFrame, axes: Axes) -> None:
    """Draw the line of the attack."""
    axes.plot(table["round"].astype(int), table["attack_success"], color=ADVERSARY)
    axes.set(xlabel="round", ylabel="attack success (share)", ylim=(-0.02, 1.02))
    rounds_axis(axes, int(table["round"].max()))


FIGURE = Figure(
    name="attack-success",
    title="Attack success per round",
    caption="Share of the samples that a targeted attack aims at that the model held by most "
    "devices classifies as the attack wants.",
    needs={"rounds": ("round", "attack_success")},
    data=data,
    draw=draw,
    order=12,
)
