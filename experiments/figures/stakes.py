"""Stake of every device over the rounds (figure 9 of the VBFL code)."""

from __future__ import annotations

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter

from experiments.figures.base import ADVERSARY, HONEST, Figure, rounds_axis, thousands
from experiments.figures.panels import name_lines
from experiments.runresult import RunResult


def data(run: RunResult) -> pd.DataFrame:
    """Return one row per round and device."""
    return run.participants[["round", "device", "adversary", "balance"]]


def draw(table: pd.DataFrame, axes: Axes) -> None:
    """Draw one line per device; the medians of honest devices and of adversaries are labelled."""
    wide = table.pivot(index="round", columns="device", values="balance").astype(float)
    bad = set(table.loc[table["adversary"], "device"])
    honest = [device for device in wide.columns if device not in bad]
    last = wide.iloc[-1]
    rounds = int(wide.index[-1])
    sheet = axes.get_figure(root=True)
    assert sheet is not None
    ends = []
    for name, devices, color, width in (
        ("honest", honest, HONEST, 0.9),
        ("adversary", sorted(bad), ADVERSARY, 1.4),  # drawn over the others
    ):
        for device in devices:
            axes.plot(
                wide.index.astype(int), wide[device], color=color, linewidth=width, alpha=0.85
            )
        if devices:
            ends.append((rounds, float(last[devices].median()), name, color))
    axes.set(xlabel="round", ylabel="balance (base units)")
    rounds_axis(axes, rounds)
    axes.set_ylim(bottom=0)
    axes.yaxis.set_major_formatter(FuncFormatter(thousands))
    name_lines(sheet, {axes: ends})


FIGURE = Figure(
    name="stakes",
    title="Balance of each device",
    caption="Amount of the paid asset at each round's end, without what is locked; a line per "
    "device.",
    needs={"participants": ("round", "device", "adversary", "balance")},
    data=data,
    draw=draw,
    order=20,
)
