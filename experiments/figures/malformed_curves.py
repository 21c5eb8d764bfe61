"""Malformed updates per round over the cells of a sweep."""

from __future__ import annotations

from functools import partial

import numpy as np
import pandas as pd

from experiments.figures.base import SweepFigure
from experiments.figures.over_rounds import curves, draw_curves
from experiments.results import Results


def data(results: Results) -> pd.DataFrame:
    """Return one row per shown levels and round: mean number of malformed updates, its band.

    Empty where no run has any.
    """
    counts = results.rounds(columns=["round", "malformed"])
    if not counts["malformed"].sum():
        return pd.DataFrame()
    return curves(results, counts.fillna({"malformed": 0}), "malformed")


FIGURE = SweepFigure(
    name="malformed-curves",
    title="Malformed updates per round",
    caption="Updates that were refused because a value is missing, infinite or not a number: mean "
    "over seeds.",
    needs={"rounds": ("round", "malformed")},
    data=data,
    draw=partial(draw_curves, label="malformed updates", limits=(0.0, np.inf)),
    order=80,
)
