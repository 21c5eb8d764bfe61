"""Accuracy that is bought per unit, against a numeric factor: a line for each rule."""

from __future__ import annotations

import pandas as pd

from experiments.figures.base import Look, Sheet, SweepFigure
from experiments.figures.outcome_lines import draw_outcome, outcome_by_level
from experiments.results import Results


def data(results: Results) -> pd.DataFrame:
    """Return a row for each level of a numeric factor and of the one beside it."""
    return outcome_by_level(results, "gain_per_unit")


def draw(table: pd.DataFrame, look: Look) -> Sheet:
    """Draw a line for each level; intervals stand at the marks."""
    return draw_outcome(table, look, "accuracy gained\n(points per 1,000 units paid)")


FIGURE = SweepFigure(
    name="labels-per-unit",
    title="Accuracy bought per unit",
    caption="Percentage points of accuracy on the hidden test set that the labels brought, for "
    "each 1,000 base units paid to annotators: means over seeds.",
    needs={"rounds": ("gain", "labels_paid")},
    data=data,
    draw=draw,
    order=24,
)
