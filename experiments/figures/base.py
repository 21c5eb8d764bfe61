"""The declaration of a figure, and the look that all figures share."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import matplotlib as mpl
import pandas as pd
from cycler import cycler
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_hex, to_rgb
from matplotlib.figure import Figure as Canvas
from matplotlib.typing import ColorType

from experiments.numerals import number
from experiments.results import Results
from experiments.rundir import RunResult

# Okabe and Ito's colours can be distinguished with every common kind of colour vision.
HONEST, ADVERSARY, NEUTRAL, ACCENT = "#0072B2", "#D55E00", "#555555", "#009E73"
CYCLE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
LEVELS = ("#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#0072B2", "#D55E00", "#999999")
"""For the levels of a factor; the colours of honest devices and adversaries come last."""
WHO = {"honest": HONEST, "adversary": ADVERSARY}


@dataclass(frozen=True, kw_only=True)
class Figure:
    """A figure of a run.

    Args:
        name: of its files.
        title: above it in the report.
        caption: below it in the report.
        needs: the columns that `data` reads of each table; a run without them has no such figure.
        data: makes the tidy table that is drawn and saved as CSV. Empty: nothing to show;
            `attrs["notes"]`: sentences for the caption.
        draw: puts the table on axes.
        order: place in the report, lower first; equal ones by name.
    """

    name: str
    title: str
    caption: str
    needs: Mapping[str, Sequence[str]]
    data: Callable[[RunResult], pd.DataFrame]
    draw: Callable[[pd.DataFrame, Axes], None]
    order: int = 100


@dataclass(frozen=True)
class Sheet:
    """A drawing, and sentences for its caption about what was left out."""

    canvas: Canvas
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True)
class SweepFigure:
    """A figure of a sweep: as `Figure`, but `draw` makes the whole drawing with all its panels."""

    name: str
    title: str
    caption: str
    needs: Mapping[str, Sequence[str]]
    data: Callable[[Results], pd.DataFrame]
    draw: Callable[[pd.DataFrame], Sheet]
    order: int = 100


def setting(settings: Mapping[str, Any], key: str) -> Any:
    """Return the value at a dotted key of a scenario; None where the scenario has no such key."""
    value: Any = settings
    for part in key.split("."):
        value = value.get(part) if isinstance(value, Mapping) else None
    return value


@contextmanager
def style() -> Iterator[None]:
    """Set the look of all figures; SVG text stays text, and files are the same every time."""
    with mpl.rc_context(
        {
            "figure.figsize": (5.2, 3.1),
            "figure.dpi": 110,
            "savefig.dpi": 200,
            "font.size": 10,
            "axes.spines.top": False,
            "axes.spines.right": False,
            "axes.grid": True,
            "grid.color": "#E6E6E6",
            "axes.axisbelow": True,
            "axes.prop_cycle": cycler(color=list(CYCLE)),
            "legend.frameon": False,
            "svg.fonttype": "none",
            "text.parse_math": False,  # names from outside may hold a "$"
            "svg.hashsalt": "fedstake",
        }
    ):
        yield


def blank(width: float, height: float) -> Canvas:
    """Return a canvas of so many inches, outside pyplot's global state."""
    sheet = Canvas(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(sheet)  # seaborn measures text before anything is saved
    return sheet


def canvas(figure: Figure, data: pd.DataFrame) -> Canvas:
    """Draw a figure of a run on a new canvas."""
    sheet = blank(*mpl.rcParams["figure.figsize"])
    figure.draw(data, sheet.add_subplot())
    return sheet


def direct_label(axes: Axes, x: float, y: float, text: str, color: str, shift: float = 0.0) -> None:
    """Write a label at the end of a line, in its colour; `shift` moves it up, in points."""
    axes.annotate(
        text,
        (x, y),
        xytext=(5, shift),
        textcoords="offset points",
        color=ink(color),
        va="center",
        fontsize=9,
        annotation_clip=False,
        parse_math=False,
    )


def ink(color: str) -> str:
    """Return the colour dark enough for text on white (contrast of 4.5 and more)."""
    r, g, b = to_rgb(color)
    while luminance((r, g, b)) > DARK:
        r, g, b = 0.93 * r, 0.93 * g, 0.93 * b
    return str(to_hex((r, g, b)))


DARK = 0.18
"""Relative luminance up to which white text reads better on a ground, beyond it black."""


def luminance(color: ColorType) -> float:
    """Return the relative luminance (WCAG 2): 0 of black, 1 of white."""
    red, green, blue = map(_linear, to_rgb(color))
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def _linear(channel: float) -> float:
    """Undo the gamma of an sRGB channel."""
    if channel <= 0.04045:
        return channel / 12.92
    return float(((channel + 0.055) / 1.055) ** 2.4)


def thousands(value: float, _: object = None) -> str:
    """Return an axis label as 12,000."""
    return number(value, 0)
