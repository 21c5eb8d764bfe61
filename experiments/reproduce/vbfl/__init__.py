"""VBFL (Chen, Asif, Park, Shen and Bennis, arXiv:2101.03300) as in its authors' published code."""

from experiments.reproduce.paper import Paper
from experiments.reproduce.vbfl.figures import FIGURES
from experiments.reproduce.vbfl.findings import findings
from experiments.reproduce.vbfl.measures import MEASURES

PAPER = Paper("VBFL (arXiv:2101.03300) reproduced", FIGURES, MEASURES, findings)
