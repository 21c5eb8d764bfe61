"""Figure 3: one client of vanilla federated averaging, before and after averaging."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure as Canvas

from experiments.reproduce.drawing import curves
from experiments.reproduce.evidence import Evidence
from experiments.reproduce.paper import PaperFigure

CLIENT = 0
LINES = {
    "epoch-1": ("after epoch 1", "#E69F00"),
    "epoch-5": ("after epoch 5", "#D55E00"),
    "global": ("global model", "#0072B2"),
}


def data(evidence: Evidence) -> pd.DataFrame:
    """Return accuracies per round of one client's model and of the global one.

    The client's model is measured after its first and after its last local epoch.
    """
    local = evidence.table("epochs", "epochs", where=f"device = {CLIENT} and epoch in (1, 5)")
    shared = evidence.table("epochs", "rounds", columns=["round", "accuracy"])
    if local.empty:
        return local
    local = local.assign(arm="epoch-" + local["epoch"].astype(int).astype(str))
    lines = pd.concat([local, shared.assign(arm="global")], ignore_index=True)
    return lines[["arm", "seed", "round", "accuracy"]]


def draw(table: pd.DataFrame, sheet: Canvas) -> None:
    """Draw two lines for the client, one for the server."""
    axes = sheet.add_subplot()
    axes.set_ylim(0, 1)
    curves(table, axes, "accuracy", LINES)
    axes.set_ylabel("test accuracy")


FIGURE = PaperFigure(
    "f3-local-epochs",
    f"Figure 3. Client {CLIENT} of VFL 0/20: trained on two digits, its own model forgets the "
    "others; their mean learns all ten.",
    "the lines and the number of rounds (plot script f3); no values confirmed.",
    data,
    draw,
)
