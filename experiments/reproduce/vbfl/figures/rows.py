"""Axes with one row of marks per run, named by consensus and seed."""

from __future__ import annotations

from collections.abc import Iterator

import pandas as pd
from matplotlib.axes import Axes

from experiments.reproduce.vbfl.arms import CONSENSUS


def rows(table: pd.DataFrame, axes: Axes) -> Iterator[tuple[int, pd.DataFrame]]:
    """Label the axes and yield height and rounds of each run, from the top."""
    runs = [
        (f"{label}, seed {seed}", run)
        for arm, (label, _) in CONSENSUS.items()
        for seed, run in table[table["arm"] == arm].groupby("seed")
    ]
    heights = range(len(runs) - 1, -1, -1)
    axes.set_yticks(list(heights), [name for name, _ in runs])
    axes.set(xlabel="round", xlim=(0, table["round"].max() + 1), ylim=(-0.6, len(runs) - 0.4))
    for height, (_, run) in zip(heights, runs, strict=True):
        yield height, run
