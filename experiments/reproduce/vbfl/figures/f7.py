"""Figure 7: forks and rounds without a valid block."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure as Canvas

from experiments.figures.base import ADVERSARY, NEUTRAL
from experiments.reproduce.evidence import Evidence
from experiments.reproduce.paper import PaperFigure
from experiments.reproduce.vbfl.arms import CONSENSUS
from experiments.reproduce.vbfl.figures.rows import rows
from experiments.reproduce.vbfl.measures import mined


def data(evidence: Evidence) -> pd.DataFrame:
    """Return per run and round whether it forked, and its winner (null: no valid block)."""
    table = mined(evidence, tuple(CONSENSUS))
    return table[["arm", "seed", "round", "forked", "winner"]] if len(table) else table


def draw(table: pd.DataFrame, sheet: Canvas) -> None:
    """Draw a row of rings and crosses per run."""
    axes = sheet.add_subplot()
    for y, run in rows(table, axes):
        forked, empty = run[run["forked"].astype(bool)], run[run["winner"].isna()]
        axes.scatter(
            forked["round"].astype(int),
            [y] * len(forked),
            s=24,
            facecolor="none",
            edgecolor=NEUTRAL,
        )
        axes.scatter(
            empty["round"].astype(int), [y] * len(empty), s=30, marker="x", color=ADVERSARY
        )
        share = forked["round"].nunique() / len(run)
        axes.annotate(
            f"{share:.0%}",
            (1.01, y),
            xycoords=("axes fraction", "data"),
            va="center",
            fontsize=9,
            color=NEUTRAL,
        )


FIGURE = PaperFigure(
    "f7-forks",
    "Figure 7. A ring: devices appended different blocks. A cross: no valid block. Right: share of "
    "rounds that forked.",
    "the same kinds of events for two runs of proof of work and three of proof of stake (plot "
    "script f7), values not confirmed. Running the authors' code: proof of stake always forks in "
    "round 1 and seldom later, proof of work at difficulty 1 in each of 3 rounds.",
    data,
    draw,
)
