"""Figures: one small file each, a function from a run or a sweep to its data and one that draws it.

A file of this folder with a `FIGURE` (a `Figure` of a run or a `SweepFigure` of a sweep) is found
by walking the folder. The figure says which tables and columns it needs, and is drawn for every
run or sweep that has them.
"""

from __future__ import annotations

from functools import cache
from importlib import import_module
from pkgutil import iter_modules
from typing import TypeVar

from experiments.figures.base import Figure, SweepFigure

__all__ = ["Figure", "SweepFigure", "run_figures", "sweep_figures"]

AnyFigure = TypeVar("AnyFigure", Figure, SweepFigure)


def run_figures() -> tuple[Figure, ...]:
    """Return the figures of a run in the order of the report."""
    return _of_kind(Figure)


def sweep_figures() -> tuple[SweepFigure, ...]:
    """Return the figures of a sweep in the order of the report."""
    return _of_kind(SweepFigure)


def _of_kind(kind: type[AnyFigure]) -> tuple[AnyFigure, ...]:
    found = [figure for figure in _discovered() if isinstance(figure, kind)]
    return tuple(sorted(found, key=lambda figure: (figure.order, figure.name)))


@cache
def _discovered() -> tuple[object, ...]:
    """Return the `FIGURE` of each file that has one."""
    modules = [import_module(f"{__name__}.{module.name}") for module in iter_modules(__path__)]
    return tuple(vars(module)["FIGURE"] for module in modules if "FIGURE" in vars(module))
