"""Figure 4: each update's accuracy against the validator's baseline, as published and repaired."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure as Canvas

from experiments.figures.base import ADVERSARY, HONEST, NEUTRAL
from experiments.reproduce.evidence import Evidence
from experiments.reproduce.paper import PaperFigure
from experiments.reproduce.vbfl.arms import MATCHED, OPEN_ATTACKED, VBFL

ROUNDS = 30
THRESHOLD = 0.08
PANELS = {
    OPEN_ATTACKED: "baseline of 1 epoch, threshold 1",
    VBFL: "baseline of 1 epoch, threshold 0.08",
    MATCHED: "repair: baseline of 5 epochs, 0.08",
}


def data(evidence: Evidence) -> pd.DataFrame:
    """Return one row per vote of the first seed, as the authors draw one run."""
    columns = ["round", "validator", "worker", "worker_adversary", "vad"]
    table = evidence.of(
        PANELS,
        "votes",
        columns=columns,
        where=f"seed = 0 and round <= {ROUNDS} and vad is not null",
    )
    return table[["arm", *columns]] if len(table) else table


def draw(table: pd.DataFrame, sheet: Canvas) -> None:
    """Draw a panel per baseline and threshold."""
    sheet.set_size_inches(10.5, 3.8)
    panels = sheet.subplots(1, len(PANELS), sharey=True)
    for axes, (arm, title) in zip(panels, PANELS.items(), strict=True):
        part = table[table["arm"] == arm]
        bad = part["worker_adversary"].astype(bool)
        for who, color, label in ((~bad, HONEST, "honest"), (bad, ADVERSARY, "malicious")):
            axes.scatter(
                part.loc[who, "round"].astype(int),
                part.loc[who, "vad"],
                s=7,
                color=color,
                alpha=0.45,
                lw=0,
                label=label,
            )
        over = (part.loc[~bad, "vad"] > THRESHOLD).mean()
        axes.axhline(THRESHOLD, color=NEUTRAL, linestyle="--", linewidth=1)
        axes.set_title(
            f"{title}\n{over:.0%} of honest votes above {THRESHOLD:g}", loc="left", fontsize=9.5
        )
        axes.set_xlabel("round")
    sheet.axes[0].legend(loc="upper left", markerscale=2)
    sheet.axes[0].set_ylabel("vad (accuracy, baseline − update)")


FIGURE = PaperFigure(
    "f4-vote-differences",
    "Figure 4. One point per vote of the first seed. Above the line the rule says reject. Left: as "
    "the authors draw it, with nothing rejected; middle: with the rule at work, which makes the "
    "model better and honest updates look worse; right: the repair.",
    "a scatter of 30 rounds at threshold 1 with a line at 0.08 (plot script f4); no values "
    "confirmed.",
    data,
    draw,
)
