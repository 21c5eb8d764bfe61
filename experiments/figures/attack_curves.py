"""Success of targeted attacks per round over the cells of a sweep."""

from __future__ import annotations

from functools import partial

import pandas as pd

from experiments.figures.base import SweepFigure
from experiments.figures.over_rounds import curves, draw_curves
from experiments.results import Results


def data(results: Results) -> pd.DataFrame:
    """Return one row per shown levels and round: mean attack success and its band.

    Runs without a targeted attack have none and are left out.
    """
    rounds = results.rounds(columns=["round", "attack_success"])
    return curves(results, rounds.dropna(subset="attack_success"), "attack_success")


FIGURE = SweepFigure(
    name="attack-success-curves",
    title="Attack success per round",
    caption="Share of the samples that a targeted attack aims at that the model held by most "
    "devices classifies as the attack wants: mean over seeds.",
    needs={"rounds": ("round", "attack_success")},
    data=data,
    draw=partial(draw_curves, label="attack success (share)", limits=(0.0, 1.0)),
    order=12,
)
