"""Figure 9: stake over rounds."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure as Canvas

from experiments.figures.base import ADVERSARY, HONEST
from experiments.reproduce.evidence import Evidence
from experiments.reproduce.paper import PaperFigure
from experiments.reproduce.vbfl.arms import CONSENSUS, MATCHED
from experiments.reproduce.vbfl.measures import people

PANELS = {**CONSENSUS, MATCHED: ("PoS, repair", "")}


def data(evidence: Evidence) -> pd.DataFrame:
    """Return the balance per device and round of the first seed, base units."""
    columns = ["arm", "round", "device", "adversary", "balance"]
    tables = [people(evidence, arm) for arm in PANELS]
    played = [table.loc[table["seed"] == 0, columns] for table in tables if len(table)]
    return pd.concat(played, ignore_index=True) if played else pd.DataFrame()


def draw(table: pd.DataFrame, sheet: Canvas) -> None:
    """Draw a panel per consensus, a line per device."""
    sheet.set_size_inches(9.5, 3.4)
    panels = sheet.subplots(1, len(PANELS), sharey=True)
    for axes, (arm, (label, _)) in zip(panels, PANELS.items(), strict=True):
        part = table[table["arm"] == arm]
        for (_, bad), line in part.groupby(["device", "adversary"]):
            color = ADVERSARY if bad else HONEST
            axes.plot(
                line["round"].astype(int),
                line["balance"].astype(float) / 1000,
                color=color,
                lw=1.6 if bad else 0.9,
            )
        axes.set_title(label, loc="left", fontsize=10)
        axes.set_xlabel("round")
    panels[0].set_ylabel("stake (1,000 base units)")
    panels[0].set_ylim(bottom=0)


FIGURE = PaperFigure(
    "f9-stake",
    "Figure 9. Stake of each device of the first seed: honest blue, malicious orange. The last "
    "panel is the repair.",
    "an axis of 0 to 1,000k after 100 rounds (plot script f9); by the formula 900k for a worker "
    "that is never rejected on MNIST. The curves are not confirmed.",
    data,
    draw,
)
