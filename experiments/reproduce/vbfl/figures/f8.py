"""Figure 8: who mines."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure as Canvas

from experiments.figures.base import ADVERSARY
from experiments.reproduce.evidence import Evidence
from experiments.reproduce.paper import PaperFigure
from experiments.reproduce.vbfl.arms import CONSENSUS
from experiments.reproduce.vbfl.figures.rows import rows
from experiments.reproduce.vbfl.measures import mined


def data(evidence: Evidence) -> pd.DataFrame:
    """Return per run and round the winner and whether it is malicious."""
    table = mined(evidence, tuple(CONSENSUS))
    return table[["arm", "seed", "round", "winner", "malicious"]] if len(table) else table


def draw(table: pd.DataFrame, sheet: Canvas) -> None:
    """Draw a row of dots per run."""
    axes = sheet.add_subplot()
    for y, run in rows(table, axes):
        bad = run[run["malicious"]]
        axes.scatter(bad["round"].astype(int), [y] * len(bad), s=26, color=ADVERSARY)
        axes.annotate(
            f"{len(bad)} of {len(run)}",
            (1.01, y),
            xycoords=("axes fraction", "data"),
            va="center",
            fontsize=9,
            color=ADVERSARY,
        )


FIGURE = PaperFigure(
    "f8-malicious-miners",
    "Figure 8. Rounds whose block most devices took from a malicious miner, and their number.",
    "proof of work, difficulty 2: rounds 2, 5, 6, 16, 18, 26, 37, 42, 43 and 45, a list in plot "
    "script f8; proof of stake: none in 3 runs, a comment there.",
    data,
    draw,
)
