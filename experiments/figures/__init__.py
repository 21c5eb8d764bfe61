"""Figures: one small file each, a function from a run or a sweep to its data and one that draws it."""

from experiments.figures import (
    accuracy,
    blocks,
    curves,
    fans,
    forks,
    incomes,
    pareto,
    payoffs,
    responses,
    stakes,
    vote_scatter,
    votes,
)
from experiments.figures.base import Figure, SweepFigure

FIGURES: tuple[Figure, ...] = (
    accuracy.FIGURE,
    stakes.FIGURE,
    votes.FIGURE,
    blocks.FIGURE,
    forks.FIGURE,
)
"""Of a run, in the order of the report. A new figure: a file with a `FIGURE`, added here."""

SWEEP_FIGURES: tuple[SweepFigure, ...] = (
    curves.FIGURE,
    pareto.FIGURE,
    payoffs.FIGURE,
    responses.FIGURE,
    fans.FIGURE,
    incomes.FIGURE,
    vote_scatter.FIGURE,
)
"""Of a sweep, in the order of the report."""

__all__ = ["FIGURES", "SWEEP_FIGURES", "Figure", "SweepFigure"]
