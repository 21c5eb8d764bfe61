"""The figures of the paper in its order, a file each; the last one is ours."""

from experiments.reproduce.paper import PaperFigure
from experiments.reproduce.vbfl.figures import f1, f3, f4, f5, f6, f7, f8, f9, f10, network

FIGURES: tuple[PaperFigure, ...] = (
    f1.FIGURE,
    f3.FIGURE,
    f4.FIGURE,
    f5.FIGURE,
    f6.FIGURE,
    f7.FIGURE,
    f8.FIGURE,
    f9.FIGURE,
    f10.FIGURE,
    network.FIGURE,
)
