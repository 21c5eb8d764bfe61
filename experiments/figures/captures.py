"""Share of the referenda that were captured, against a numeric factor such as a vote's price."""

from __future__ import annotations

import pandas as pd

from experiments.figures.base import Look, Sheet, SweepFigure
from experiments.figures.factors import ordered
from experiments.figures.outcome_lines import by_level, draw_outcome
from experiments.results import Results


def data(results: Results) -> pd.DataFrame:
    """Return the share of the referenda that ended otherwise than without bought votes.

    A row for each level of a numeric factor and of the one beside it.
    """
    rows = ordered(results, results.table("referenda", columns=["captured"]))
    return by_level(results, rows, "captured")


def draw(table: pd.DataFrame, look: Look) -> Sheet:
    """Draw a line for each level; intervals stand at the marks."""
    return draw_outcome(table, look, "referenda captured\n(share)", share=True)


FIGURE = SweepFigure(
    name="captures",
    title="Referenda that were captured",
    caption="Share of the referenda that ended otherwise than they would have without bought "
    "votes: mean over seeds.",
    needs={"referenda": ("captured",)},
    data=data,
    draw=draw,
    order=26,
)
