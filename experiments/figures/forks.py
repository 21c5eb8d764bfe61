"""Forks and rounds without a valid block (figure 7 of the VBFL code)."""

from __future__ import annotations

import pandas as pd
from matplotlib.axes import Axes

from experiments.figures.base import ADVERSARY, HONEST, NEUTRAL, SMALL, Figure, rounds_axis
from experiments.runresult import RunResult


def data(run: RunResult) -> pd.DataFrame:
    """Return one row per round: who mined the block that most devices hold, and if it forked."""
    if run.blocks.empty:
        return pd.DataFrame()  # nothing was ever mined
    bad = run.participants.groupby("device")["adversary"].first()
    table = run.rounds[["round", "winner", "forked", "heads"]].copy()
    table["winner_adversary"] = table["winner"].map(bad)
    return table


def draw(table: pd.DataFrame, axes: Axes) -> None:
    """Draw a row per device that mined: a dot per block, ringed where the round forked."""
    mined = table[table["winner"].notna()]
    devices = sorted(mined["winner"].astype(int).unique())
    rows = {device: i for i, device in enumerate(devices)}
    places = mined["winner"].astype(int).map(rows)
    colors = [ADVERSARY if bad else HONEST for bad in mined["winner_adversary"]]
    axes.scatter(mined["round"].astype(int), places, c=colors, s=16)
    forked = mined["forked"].astype(bool)
    axes.scatter(
        mined["round"].astype(int)[forked],
        places[forked],
        s=70,
        facecolor="none",
        edgecolor=NEUTRAL,
        linewidth=1.1,
    )
    names = [str(device) for device in devices]
    empty = table[table["winner"].isna()]
    if len(empty):
        axes.scatter(empty["round"].astype(int), [len(devices)] * len(empty), marker="x", c=NEUTRAL)
        names.append("nobody")
    axes.set_yticks(range(len(names)), names)
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.set(xlabel="round", ylabel="device that mined the block")
    rounds_axis(axes, int(table["round"].max()))
    axes.set_xlim(0.4, table["round"].max() + 0.6)
    if len(names) > 12:  # their rows need more room than the usual figure has
        sheet = axes.get_figure(root=True)
        assert sheet is not None
        sheet.set_figheight(0.9 + 0.14 * len(names))
    count = int(table["forked"].astype(bool).sum())
    share = f"{count} of {len(table)} rounds forked, {len(empty)} without a block"
    axes.set_title(share, loc="right", fontsize=SMALL, color=NEUTRAL)


FIGURE = Figure(
    name="forks",
    title="Winning miners and forks",
    caption="A row per device that mined a block; blue: honest, orange: an adversary. "
    "A ring: some devices took another block. A cross: no valid block.",
    needs={
        "rounds": ("round", "winner", "forked", "heads"),
        "blocks": ("round",),
        "participants": ("device", "adversary"),
    },
    data=data,
    draw=draw,
    order=50,
)
