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
from matplotlib.ticker import MaxNLocator
from matplotlib.typing import ColorType

from experiments.games.solution import Solution
from experiments.labels import Labels
from experiments.numerals import number
from experiments.results import Results
from experiments.runresult import RunResult

# Blue and orange of Okabe and Ito: honest devices and adversaries, and nothing else.
HONEST, ADVERSARY = "#0072B2", "#D55E00"
WHO = {"honest": HONEST, "adversary": ADVERSARY}
NEUTRAL, ACCENT = "#555555", "#117733"
LINE = "#333333"
"""A line of its own, that is no level and nobody's."""
LEVELS = ("#117733", "#AA4499", "#000000", "#999933", "#882255", "#44AA99", "#8A8A8A", "#CC6677")
"""For the levels of a factor: colours of Paul Tol's muted scheme, far from blue and orange.

With every common kind of colour vision they differ best together with `DASHES` and `MARKERS`."""
DASHES = ("-", (0, (5, 1.5)), (0, (1.2, 1.2)), (0, (6, 1.5, 1.2, 1.5)))
"""Lines of levels, so that lines on each other can be told apart."""
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
SIGNS = ("●", "■", "▲", "◆", "▼", "✚", "✖", "★")
"""The markers as letters, for names at the ends of lines."""
BANDS = 2
"""Most bands in a panel: more would mix. Intervals of more curves are whiskers at their marks."""
BESIDE_AXIS = 0.025
"""Part of an axis between its end and the first mark: whole marks, and whiskers off the frame."""
SINGLE, DOUBLE = 3.4, 7.0
"""Inches of one and of two columns of a printed page."""
SCREEN = 3.0
"""Inches of a figure on a small screen: 330 pixels of 400, with text that can be read."""
COLUMNS = 4
"""Most panels side by side."""
TEXT, SMALL = 8.0, 7.0
"""Points of the text of a figure, and of its smallest text."""
TICK_LETTER = 0.65 * SMALL
"""Points of a letter at a tick, more or less."""


@dataclass(frozen=True)
class Look:
    """What the drawing of a sweep's figure is told beside its table.

    Args:
        labels: of factors and levels.
        first: by factor, levels in the order in which they are drawn: where there is no room for
            all, the first are kept.
        width: inches of the figure; 0: what its panels need, at most two columns of a page.
        stacked: whether all panels stand one below the other, for a small screen; none is left out
            for that.
        ranked_by: the measure of the ranking that the report has; "": it has none.
    """

    labels: Labels = field(default_factory=Labels)
    first: Mapping[str, Sequence[Any]] = field(default_factory=dict)
    width: float = 0.0
    stacked: bool = False
    ranked_by: str = ""

    @property
    def narrow(self) -> bool:
        """Whether the figure is for one column of a printed page, or for a small screen."""
        return 0 < self.width < 5

    @property
    def most(self) -> int:
        """How many levels a factor that goes across may have; further ones are left out."""
        return 2 if self.narrow and not self.stacked else COLUMNS

    def inches(self, wanted: float) -> float:
        """Return the width of a figure that would like so many inches."""
        return self.width or min(wanted, DOUBLE)

    def levels(self, column: pd.Series) -> list[Any]:
        """Return the levels that occur in a column of categories, in the order to draw them."""
        present = set(column)
        found = [level for level in column.cat.categories if level in present]
        ahead = [level for level in self.first.get(str(column.name), ()) if level in present]
        return [*ahead, *(level for level in found if level not in ahead)]


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
    """A drawing, and sentences for its caption about what was left out.

    `title` and `caption` are those of a drawing that is not what the figure usually shows.
    """

    canvas: Canvas
    notes: list[str] = field(default_factory=list)
    title: str = ""
    caption: str = ""


@dataclass(frozen=True, kw_only=True)
class SweepFigure:
    """A figure of a sweep: as `Figure`, but `draw` makes the whole drawing with all its panels."""

    name: str
    title: str
    caption: str
    needs: Mapping[str, Sequence[str]]
    data: Callable[[Results], pd.DataFrame]
    draw: Callable[[pd.DataFrame, Look], Sheet]
    order: int = 100


@dataclass(frozen=True, kw_only=True)
class GameFigure:
    """A figure of a solved game: as `SweepFigure`, its data empty where it does not apply."""

    name: str
    title: str
    caption: str
    data: Callable[[Solution], pd.DataFrame]
    draw: Callable[[pd.DataFrame, Look], Sheet]
    order: int = 100


DPI = 200
"""Dots in an inch of a figure that is written as pixels."""


@contextmanager
def style() -> Iterator[None]:
    """Set the look of all figures; text stays text in SVG and PDF, files are the same every time.

    The font is DejaVu Sans because Matplotlib brings it: the same bytes on every machine. All text
    is literal: a "$" never begins a formula.
    """
    with mpl.rc_context(
        {
            "figure.figsize": (4.4, 2.7),
            "figure.dpi": 110,
            "savefig.dpi": DPI,
            "font.family": "DejaVu Sans",
            "font.size": TEXT,
            "axes.titlesize": TEXT,
            "axes.labelsize": TEXT,
            "xtick.labelsize": SMALL,
            "ytick.labelsize": SMALL,
            "legend.fontsize": SMALL,
            "text.parse_math": False,
            "axes.linewidth": 0.6,
            "lines.linewidth": 1.3,
            "axes.spines.top": False,
            "axes.spines.right": False,
            "axes.grid": True,
            "grid.color": "#E6E6E6",
            "grid.linewidth": 0.6,
            "axes.axisbelow": True,
            "axes.prop_cycle": cycler(color=list(LEVELS)),
            "legend.frameon": False,
            "svg.fonttype": "none",
            "svg.hashsalt": "fedstake",
            "pdf.fonttype": 42,
        }
    ):
        yield


def blank(width: float, height: float) -> Canvas:
    """Return a canvas of so many inches, outside pyplot's global state."""
    sheet = Canvas(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(sheet)  # seaborn measures text before anything is saved
    return sheet


def canvas(figure: Figure, data: pd.DataFrame, width: float = 0.0) -> Canvas:
    """Draw a figure of a run on a new canvas; `width` in inches, 0 for the usual one."""
    usual, height = mpl.rcParams["figure.figsize"]
    sheet = blank(width or usual, height)
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
        fontsize=SMALL + 0.5,
        annotation_clip=False,
        parse_math=False,
    )


def beside_line(axes: Axes, y: float, text: str) -> None:
    """Write a word at the right end of a horizontal line, outside the axes."""
    axes.annotate(
        text,
        (1, y),
        xycoords=("axes fraction", "data"),
        xytext=(4, 0),
        textcoords="offset points",
        va="center",
        fontsize=SMALL,
        color=NEUTRAL,
        annotation_clip=False,
    )


def rounds_axis(axes: Axes, last: int, ticks: int = 5) -> None:
    """Let the axis go from round 1 to the last one, with whole numbers."""
    end = max(2, last)
    beside = BESIDE_AXIS * (end - 1)
    axes.set_xlim(1 - beside, end + beside)
    found = MaxNLocator(ticks, integer=True).tick_values(1, end)
    axes.set_xticks([tick for tick in found if 1 <= tick <= end])


def level_ticks(axes: Axes, levels: Mapping[float, str]) -> None:
    """Put the ticks of a numeric factor at its levels: both ends, and those that have room.

    Args:
        axes: of a sheet that has been laid out: the size of the panel must be known.
        levels: what each is called, by its number.
    """
    sheet = axes.get_figure(root=True)
    assert sheet is not None
    order = sorted(levels)
    kept: list[float] = []
    for level in dict.fromkeys([order[0], order[-1], *order]):
        if all(_apart(axes, levels, level, other, sheet.dpi / 72) for other in kept):
            kept.append(level)
    axes.set_xticks(sorted(kept), [levels[level] for level in sorted(kept)])


def _apart(axes: Axes, levels: Mapping[float, str], one: float, other: float, dot: float) -> bool:
    """Return whether the names of two levels have room on an axis; `dot`: pixels of a point."""
    places = axes.transData.transform([(one, 0), (other, 0)])[:, 0]
    letters = (len(levels[one]) + len(levels[other])) / 2 + 1
    return bool(abs(places[0] - places[1]) >= letters * TICK_LETTER * dot)


def whiskers_or_bands(curves: int) -> str:
    """Return as what the intervals of so many curves in a panel are drawn."""
    return "Bands" if curves <= BANDS else "Whiskers"


def level_style(place: int) -> dict[str, Any]:
    """Return colour and dashes of the level at a place: no two of eight are the same."""
    return {"color": LEVELS[place % len(LEVELS)], "linestyle": DASHES[place % len(DASHES)]}


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
    """Return an axis label as 12,000; from a million on as 12.5 M, from a billion on as 12.5 bn."""
    for size, word in ((1e9, "bn"), (1e6, "M")):
        if abs(value) >= size:
            return f"{value / size:,.5g} {word}".replace("-", "−")
    return number(value, 0)
