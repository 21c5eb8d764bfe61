"""Figures: one small file each, a function from a run to its data and one that draws it."""

from experiments.figures import accuracy, blocks, forks, stakes, votes
from experiments.figures.base import Figure

FIGURES: tuple[Figure, ...] = (accuracy.FIGURE, stakes.FIGURE, votes.FIGURE, blocks.FIGURE, forks.FIGURE)
"""In the order of the report. A new figure: a file with a `FIGURE`, added here."""

__all__ = ["FIGURES", "Figure"]
