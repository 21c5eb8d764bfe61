"""Figures: one small file each, a function from what is recorded to data and one that draws it.

A file of this folder with a `FIGURE` (a `Figure` of a run, a `SweepFigure` of a sweep or a
`GameFigure` of a solved game) is found by walking the folder. Those of runs and sweeps say which
tables and columns they need, and are drawn for every run or sweep that has them; those of games
are drawn where their data is not empty.
"""

from __future__ import annotations

from functools import cache
from importlib import import_module
from pkgutil import iter_modules
from typing import TypeVar

from experiments.figures.base import Figure, GameFigure, SweepFigure

__all__ = ["Figure", "GameFigure", "SweepFigure", "game_figures", "run_figures", "sweep_figures"]

AnyFigure = TypeVar("AnyFigure", Figure, SweepFigure, GameFigure)


def run_figures() -> tuple[Figure, ...]:
    """Return the figures of a run in the order of the report."""
    return _of_kind(Figure)


def sweep_figures() -> tuple[SweepFigure, ...]:
    """Return the figures of a sweep in the order of the report."""
    return _of_kind(SweepFigure)


def game_figures() -> tuple[GameFigure, ...]:
    """Return the figures of a solved game in the order of the report."""
    return _of_kind(GameFigure)


def _of_kind(kind: type[AnyFigure]) -> tuple[AnyFigure, ...]:
    found = [figure for figure in _discovered() if isinstance(figure, kind)]
    return tuple(sorted(found, key=lambda figure: (figure.order, figure.name)))


@cache
def _discovered() -> tuple[object, ...]:
    """Return the `FIGURE` of each file that has one."""
    modules = [import_module(f"{__name__}.{module.name}") for module in iter_modules(__path__)]
    return tuple(vars(module)["FIGURE"] for module in modules if "FIGURE" in vars(module))
