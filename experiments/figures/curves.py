"""Accuracy per round over the cells of a sweep, with bands over seeds."""

from __future__ import annotations

from functools import partial

import pandas as pd

from experiments.figures.base import SweepFigure
from experiments.figures.over_rounds import curves, draw_curves
from experiments.results import Results


def data(results: Results) -> pd.DataFrame:
    """Return one row per shown levels and round: mean accuracy, its band, the number of seeds."""
    rounds = results.rounds(columns=["round", "accuracy"])
    return curves(results, rounds.dropna(subset="accuracy"), "accuracy")


FIGURE = SweepFigure(
    name="accuracy-curves",
    title="Accuracy per round",
    caption="Test accuracy of the model held by most devices: mean over seeds.",
    needs={"rounds": ("round", "accuracy")},
    data=data,
    draw=partial(draw_curves, label="test accuracy", limits=(0.0, 1.0)),
    order=10,
)
