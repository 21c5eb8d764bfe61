"""Stake of every device over the rounds (figure 9 of the VBFL code)."""

from __future__ import annotations

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter

from experiments.figures.base import ADVERSARY, HONEST, Figure, direct_label, thousands
from experiments.rundir import RunResult


def data(run: RunResult) -> pd.DataFrame:
    """One row per round and device."""
    return run.participants[["round", "device", "adversary", "balance"]]


def draw(table: pd.DataFrame, axes: Axes) -> None:
    """One line per device, labelled by group."""
    wide = table.pivot(index="round", columns="device", values="balance").astype(float)
    bad = set(table.loc[table["adversary"], "device"])
    for device in sorted(wide.columns, key=lambda d: d in bad):
        color = ADVERSARY if device in bad else HONEST
        axes.plot(
            wide.index.astype(int),
            wide[device],
            color=color,
            linewidth=1.4 if device in bad else 0.9,
            alpha=0.85,
        )
    last = wide.iloc[-1]
    rounds = int(wide.index[-1])
    honest = last[[d for d in wide.columns if d not in bad]]
    if len(honest):
        direct_label(axes, rounds, float(honest.median()), "honest", HONEST)
    if bad:
        direct_label(axes, rounds, float(last[sorted(bad)].median()), "adversary", ADVERSARY)
    axes.set(xlabel="round", ylabel="balance (base units)", xlim=(1, max(2, rounds)))
    axes.set_ylim(bottom=0)
    axes.yaxis.set_major_formatter(FuncFormatter(thousands))


FIGURE = Figure(
    name="stakes",
    title="Stake of each device",
    caption="Balance of the staking asset at each round's end, one line per device.",
    needs={"participants": ("round", "device", "adversary", "balance")},
    data=data,
    draw=draw,
    order=20,
)
