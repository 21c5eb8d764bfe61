"""Sharing Updatable Models (Harris and Waggoner, arXiv:1907.07247; Harris, arXiv:2009.06756)."""

from experiments.reproduce.paper import Paper
from experiments.reproduce.sum.figures import FIGURES
from experiments.reproduce.sum.files import at_hand
from experiments.reproduce.sum.findings import findings
from experiments.reproduce.sum.measures import MEASURES

PAPER = Paper(
    "Sharing Updatable Models (arXiv:1907.07247) reproduced", FIGURES, MEASURES, findings, at_hand
)
