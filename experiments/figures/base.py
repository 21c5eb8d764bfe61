"""What a figure is, and the look that all share."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import matplotlib as mpl
import pandas as pd
from cycler import cycler
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas

from experiments.rundir import RunResult

# Okabe and Ito's colours: told apart with every common kind of colour vision.
HONEST, ADVERSARY, NEUTRAL, ACCENT = "#0072B2", "#D55E00", "#555555", "#009E73"
CYCLE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")


@dataclass(frozen=True)
class Figure:
    """`data` makes the tidy table that is drawn and saved as CSV (empty: nothing to show); `draw` puts it on axes."""

    name: str
    title: str
    caption: str
    data: Callable[[RunResult], pd.DataFrame]
    draw: Callable[[pd.DataFrame, Axes], None]


@contextmanager
def style() -> Iterator[None]:
    """Paper-like defaults; SVG text stays text and files are the same every time."""
    with mpl.rc_context(
        {
            "figure.figsize": (6.4, 3.6),
            "figure.dpi": 110,
            "savefig.dpi": 160,
            "font.size": 10,
            "axes.spines.top": False,
            "axes.spines.right": False,
            "axes.grid": True,
            "grid.color": "#E6E6E6",
            "axes.axisbelow": True,
            "axes.prop_cycle": cycler(color=list(CYCLE)),
            "legend.frameon": False,
            "svg.fonttype": "none",
            "svg.hashsalt": "fedstake",
        }
    ):
        yield


def canvas(figure: Figure, data: pd.DataFrame) -> Canvas:
    """Draw a figure on a fresh canvas (no global pyplot state)."""
    sheet = Canvas(layout="constrained")
    axes = sheet.add_subplot()
    figure.draw(data, axes)
    axes.set_title(figure.title, loc="left", fontsize=11, fontweight="bold")
    return sheet


def direct_label(axes: Axes, x: float, y: float, text: str, color: str) -> None:
    """A label at the end of a line, in its colour, instead of a legend."""
    axes.annotate(
        text, (x, y), xytext=(5, 0), textcoords="offset points", color=color, va="center", fontsize=9, annotation_clip=False
    )


def thousands(value: float, _: object = None) -> str:
    """12,000 as axis label."""
    return f"{value:,.0f}"
