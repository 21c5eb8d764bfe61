"""Forks and rounds without a valid block (figure 7 of the VBFL code)."""

from __future__ import annotations

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from experiments.figures.base import ADVERSARY, HONEST, NEUTRAL, Figure
from experiments.rundir import RunResult


def data(run: RunResult) -> pd.DataFrame:
    """Return one row per round: miner of the most-held block, and whether others took another."""
    if run.blocks.empty:
        return pd.DataFrame()  # nothing was ever mined
    bad = run.participants.groupby("device")["adversary"].first()
    table = run.rounds[["round", "winner", "forked", "heads"]].copy()
    table["winner_adversary"] = table["winner"].map(bad)
    return table


def draw(table: pd.DataFrame, axes: Axes) -> None:
    """Draw a dot per winning miner, ringed where the round forked."""
    mined = table[table["winner"].notna()]
    colors = [ADVERSARY if bad else HONEST for bad in mined["winner_adversary"]]
    axes.scatter(mined["round"].astype(int), mined["winner"].astype(int), c=colors, s=26)
    forked = table[table["forked"].astype(bool)]
    axes.scatter(
        forked["round"].astype(int),
        forked["winner"].astype(int),
        s=110,
        facecolor="none",
        edgecolor=NEUTRAL,
        linewidth=1.3,
    )
    empty = table[table["winner"].isna()]
    axes.scatter(empty["round"].astype(int), [-1] * len(empty), marker="x", color=NEUTRAL)
    axes.set(xlabel="round", ylabel="miner of the block (device)")
    axes.yaxis.set_major_locator(MaxNLocator(integer=True))
    share = f"{len(forked)} of {len(table)} rounds forked, {len(empty)} without a block"
    axes.annotate(share, (1, 1.02), xycoords="axes fraction", ha="right", fontsize=9, color=NEUTRAL)


FIGURE = Figure(
    name="forks",
    title="Winning miners and forks",
    caption="Orange: mined by an adversary. A ring: some devices took another block. "
    "A cross: no valid block.",
    needs={
        "rounds": ("round", "winner", "forked", "heads"),
        "blocks": ("round",),
        "participants": ("device", "adversary"),
    },
    data=data,
    draw=draw,
    order=50,
)
