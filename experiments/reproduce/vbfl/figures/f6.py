"""Figure 6: simulated time."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure as Canvas
from matplotlib.ticker import FuncFormatter

from experiments.figures.base import thousands
from experiments.reproduce.drawing import curves
from experiments.reproduce.evidence import Evidence
from experiments.reproduce.paper import PaperFigure
from experiments.reproduce.vbfl.arms import CONSENSUS


def data(evidence: Evidence) -> pd.DataFrame:
    """Return the end of each round per arm and seed, simulated seconds since the start."""
    table = evidence.of(CONSENSUS, "rounds", columns=["round", "end_s"])
    return table[["arm", "seed", "round", "end_s"]] if len(table) else table


def draw(table: pd.DataFrame, sheet: Canvas) -> None:
    """Draw accumulated time against rounds."""
    axes = sheet.add_subplot()
    curves(table, axes, "end_s", CONSENSUS)
    axes.set_ylabel("simulated seconds since the start")
    axes.set_ylim(bottom=0)
    axes.yaxis.set_major_formatter(FuncFormatter(thousands))


FIGURE = PaperFigure(
    "f6-simulated-time",
    "Figure 6. Accumulated simulated time until the slowest device ends each round, by the cost "
    "model; an attempt of proof of work takes as long as copying, printing and hashing a block, as "
    "in the authors' code.",
    "an axis of 0 to 10,000 s for 100 rounds (plot script f6); the curves are not confirmed, and "
    "theirs hold wall time.",
    data,
    draw,
)
