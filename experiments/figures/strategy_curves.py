"""Shares of strategies per round over the cells of a sweep, of devices that choose."""

from __future__ import annotations

from functools import partial

import pandas as pd

from experiments.figures.base import SweepFigure
from experiments.figures.over_rounds import curves, draw_curves
from experiments.figures.strategies import LEARNERS, shares
from experiments.results import Results


def data(results: Results) -> pd.DataFrame:
    """Return one row per strategy, shown levels and round: mean share of the devices that play it.

    Only devices of groups in which somebody ever changes its strategy; empty without any.
    """
    seen = results.sql(
        f"select run_id, round, strategy, count(*) as devices from ({LEARNERS}) "
        "group by run_id, round, strategy",
        t="participants",
    )
    if seen.empty:
        return pd.DataFrame()
    table = shares(seen, ["run_id"])
    plan = results.runs()[["run_id", "cell", "seed", *results.factors]]
    return curves(results, table.merge(plan, on="run_id"), "share", by=["strategy"])


FIGURE = SweepFigure(
    name="strategy-curves",
    title="Strategies per round",
    caption="Share of the devices that choose their behaviour which play each strategy: mean over "
    "seeds.",
    needs={"participants": ("round", "device", "group", "strategy")},
    data=data,
    draw=partial(draw_curves, label="share of strategic devices", limits=(0.0, 1.0)),
    order=45,
)
