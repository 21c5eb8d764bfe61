"""Figure 5: all arms, accuracy of the best device."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure as Canvas

from experiments.reproduce.drawing import curves
from experiments.reproduce.evidence import Evidence
from experiments.reproduce.paper import PaperFigure
from experiments.reproduce.vbfl.arms import (
    LYING,
    MATCHED,
    OPEN,
    OPEN_ATTACKED,
    VBFL,
    VFL,
    VFL_ATTACKED,
    styled,
)

ARMS = styled(VFL, OPEN, VBFL, LYING, VFL_ATTACKED, OPEN_ATTACKED, MATCHED)


def data(evidence: Evidence) -> pd.DataFrame:
    """Return the highest accuracy over devices per arm, seed and round."""
    table = evidence.of(ARMS, "rounds", columns=["round", "accuracy_max"])
    return table[["arm", "seed", "round", "accuracy_max"]] if len(table) else table


def draw(table: pd.DataFrame, sheet: Canvas) -> None:
    """Draw accuracy against rounds, one line per arm."""
    sheet.set_size_inches(7.6, 4.4)
    axes = sheet.add_subplot()
    axes.set_ylim(0, 1)
    curves(table, axes, "accuracy_max", ARMS, gap=0.07)
    axes.set_ylabel("test accuracy, best device")


FIGURE = PaperFigure(
    "f5-all-arms",
    "Figure 5. Accuracy of the best device, mean and range over seeds. Two arms are ours: the same "
    "attack with nothing rejected (threshold 1), and the repair.",
    "five arms, mean and standard deviation of 3 runs (plot script f5). Confirmed: an older log of "
    "VBFL 0/20 at threshold 1 with 0.751 at round 5, 0.907 at 10, 0.978 at 100 (MNIST, mnist_cnn).",
    data,
    draw,
)
