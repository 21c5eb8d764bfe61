"""Figure 1: the headline."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure as Canvas

from experiments.reproduce.drawing import curves
from experiments.reproduce.evidence import Evidence
from experiments.reproduce.paper import PaperFigure
from experiments.reproduce.vbfl.arms import MATCHED, VBFL, VFL, VFL_ATTACKED, styled

ARMS = styled(VFL, VBFL, MATCHED, VFL_ATTACKED)


def data(evidence: Evidence) -> pd.DataFrame:
    """Return the accuracy of the most-held model per arm, seed and round."""
    table = evidence.of(ARMS, "rounds", columns=["round", "accuracy"])
    return table[["arm", "seed", "round", "accuracy"]] if len(table) else table


def draw(table: pd.DataFrame, sheet: Canvas) -> None:
    """Draw accuracy against rounds, one line per arm."""
    axes = sheet.add_subplot()
    axes.set_ylim(0, 1)
    curves(table, axes, "accuracy", ARMS)
    axes.set_ylabel("test accuracy")


FIGURE = PaperFigure(
    "f1-headline",
    "Figure 1. Global accuracy on the test set, 3 of 20 malicious and none; mean and range over "
    "seeds. The repair is ours.",
    "87 % for VBFL 3/20 and 7.4 times as much as VFL 3/20 (abstract), so VFL about 11.8 %; "
    "one device, 100 rounds, MNIST, mnist_cnn. The curves themselves are not confirmed.",
    data,
    draw,
)
