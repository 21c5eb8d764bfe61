"""What clients pay for licences, against a numeric factor such as the probability of an audit."""

from __future__ import annotations

import pandas as pd

from experiments.figures.base import Look, Sheet, SweepFigure
from experiments.figures.outcome_lines import draw_outcome, outcome_by_level
from experiments.results import Results


def data(results: Results) -> pd.DataFrame:
    """Return a row for each level of a numeric factor and of the one beside it."""
    return outcome_by_level(results, "licence_income")


def draw(table: pd.DataFrame, look: Look) -> Sheet:
    """Draw a line for each level; intervals stand at the marks."""
    return draw_outcome(table, look, "paid by clients\n(base units)")


FIGURE = SweepFigure(
    name="licence-income",
    title="Income from licences",
    caption="Base units that clients paid for licences and as fines in the whole run: "
    "means over seeds.",
    needs={"licences": ("offer", "granted", "fine")},
    data=data,
    draw=draw,
    order=26,
)
