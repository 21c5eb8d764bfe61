"""What is left of the engineers' pool, against a numeric factor such as colluding members."""

from __future__ import annotations

import pandas as pd

from experiments.figures.base import Look, Sheet, SweepFigure
from experiments.figures.outcome_lines import draw_outcome, outcome_by_level
from experiments.results import Results


def data(results: Results) -> pd.DataFrame:
    """Return a row for each level of a numeric factor and of the one beside it."""
    return outcome_by_level(results, "engineers_pool_left")


def draw(table: pd.DataFrame, look: Look) -> Sheet:
    """Draw a line for each level; intervals stand at the marks."""
    return draw_outcome(table, look, "left of the engineers' pool\n(base units)")


FIGURE = SweepFigure(
    name="pool-left",
    title="What is left of the engineers' pool",
    caption="Base units that are left of the engineers' pool at the end, before they go back to "
    "the creator: means over seeds.",
    needs={"pools": ("pool", "remaining"), "submissions": ("reward",)},
    data=data,
    draw=draw,
    order=25,
)
