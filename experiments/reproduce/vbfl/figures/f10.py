"""Figure 10: accuracy against the number of malicious devices."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure as Canvas

from experiments.reproduce.drawing import curves
from experiments.reproduce.evidence import Evidence
from experiments.reproduce.paper import PaperFigure

SPLITS = {
    "malicious-share": ("12 W, 5 V, 3 M", "#0072B2"),
    "second-split": ("8 W, 9 V, 3 M", "#E69F00"),
}


def data(evidence: Evidence) -> pd.DataFrame:
    """Return the highest accuracy of any device per split of roles, malicious devices and seed."""
    parts = []
    for group in SPLITS:
        table = evidence.table(group, "rounds", columns=["accuracy_max"])
        if len(table):
            table = table.rename(columns={"adversaries.0.count": "malicious"})
            best = table.groupby(["malicious", "seed"])["accuracy_max"].max().reset_index()
            parts.append(best.assign(arm=group))
    if not parts:
        return pd.DataFrame()
    return pd.concat(parts, ignore_index=True)[["arm", "malicious", "seed", "accuracy_max"]]


def draw(table: pd.DataFrame, sheet: Canvas) -> None:
    """Draw accuracy against malicious devices, one line per split of roles."""
    axes = sheet.add_subplot()
    axes.set_ylim(0, 1)
    curves(table, axes, "accuracy_max", SPLITS, x="malicious")
    axes.set(xlabel="malicious devices of 20", ylabel="best test accuracy")


FIGURE = PaperFigure(
    "f10-malicious-share",
    "Figure 10. Best accuracy of any device in any round against the number of malicious devices; "
    "range over seeds.",
    "the settings only: 3 to 16 of 20, 50 rounds, two splits of roles, the second ambiguous (plot "
    "script f10).",
    data,
    draw,
)
