"""Small multiples in lock-step, and labels beside what they name that do not overlap."""

from __future__ import annotations

import itertools
import math
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas
from matplotlib.lines import Line2D
from matplotlib.path import Path
from matplotlib.text import Annotation
from matplotlib.transforms import Bbox

from experiments.figures.base import NEUTRAL, SMALL, TEXT, Look, blank, direct_label, ink
from experiments.figures.factors import thin
from experiments.labels import Labels

CURVES, PANELS = 8, 12
"""Most curves in a panel, and panels in a figure."""
WIDTHS = {1: 4.4, 2: 5.6, 3: 7.0, 4: 7.0}
"""Inches of a figure by its number of columns."""
LETTER = 0.66 * TEXT / 72
"""Inches of a letter of a title, more or less."""
ASIDE = 14
"""Most letters of a name at the end of a line; longer ones stand above the panels."""
BOLD = 0.68
"""Width of a bold letter of a legend, as part of its size, more or less."""
LEGEND_LINES, MOST_LINES = 8, 3
"""Most lines of a legend whose names take several, and most lines of a name."""
DRAWN_POINTS = 40
"""Most letters of the name of a point; longer ones are numbered."""
BESIDE = 6
"""Points between a point and a label that needs no line to it."""
OVERLAP, CROSSING, COVERING = 100, 6, 2
"""Costs of a label that overlaps another or leaves its panel, that seems to name another point, and
that covers a line."""
DISTANCES = (BESIDE, 14, 24, 36, 50, 66, 84, 104, 126, 150)
"""Points from a point to its label that are tried."""
DIRECTIONS = (
    (1, 0),
    (-1, 0),
    (0, 1),
    (0, -1),
    (0.7, 0.7),
    (-0.7, 0.7),
    (0.7, -0.7),
    (-0.7, -0.7),
)


@dataclass(frozen=True)
class Panel:
    """One of the small multiples: its part of the table, its title, whether in the last column."""

    axes: Axes
    part: pd.DataFrame
    title: str
    last: bool


def keep(table: pd.DataFrame, factor: str, most: int, look: Look, notes: list[str]) -> pd.DataFrame:
    """Return the rows of at most so many levels of a factor; a note says how many."""
    present = look.levels(table[factor])
    kept = present[:most] if factor in look.first else thin(present, most)
    if len(kept) < len(present):
        notes.append(
            f"{len(kept)} of the {len(present)} levels of {look.labels.factor(factor)} are drawn; "
            "the CSV has all."
        )
    return table[table[factor].isin(kept)]


def multiples(
    table: pd.DataFrame,
    facets: Sequence[str],
    look: Look,
    notes: list[str],
    *,
    height: float = 1.5,
) -> tuple[Canvas, list[Panel]]:
    """Return a canvas with a panel per combination of up to two factors; one panel without factors.

    There are at most twelve panels, with shared axes.

    Args:
        table: what is drawn; factors are ordered categories.
        facets: up to two factors.
        look: labels, order of levels and width.
        notes: gets a sentence for the caption when levels are left out.
        height: inches of a row of panels.
    """
    # Which factor goes across and which down, and how many levels of each have room.
    most = look.most
    across, down = _order(table, facets)
    keys: list[tuple[Any, ...]] = [()]
    columns = 1
    if down:
        table = keep(table, across, most, look, notes)
        columns = len(look.levels(table[across]))
        table = keep(table, down, PANELS // columns, look, notes)
        keys = list(itertools.product(look.levels(table[down]), look.levels(table[across])))
    elif across:
        table = keep(table, across, PANELS, look, notes)
        keys = [(level,) for level in look.levels(table[across])]
        columns = math.ceil(len(keys) / math.ceil(len(keys) / most))
    columns = 1 if look.stacked else columns
    rows = math.ceil(len(keys) / columns)
    factors = [f for f in (down, across) if f]

    # Titles name the levels; long ones take several lines.
    width = look.inches(WIDTHS[columns])
    beside = 1.1 if look.stacked else 0.6  # numbers of the axis, for which a screen has little room
    letters = max(8, int((width - beside) / columns / LETTER))
    titles = {key: _title(look, factors, key, letters) for key in keys}
    lines = max(title.count("\n") for title in titles.values())

    # The canvas and its panels.
    inches = 2.7 if width > 4 else 2.3
    if len(keys) > 1:
        inches = 0.6 + (height + 0.15 * lines) * rows + (0.3 if rows == 1 else 0)
    sheet = blank(width, inches)
    grid = sheet.subplots(rows, columns, sharex=True, sharey=True, squeeze=False).ravel()
    panels = []
    for place, (key, title) in enumerate(titles.items()):
        part = _rows_of(table, factors, key)
        grid[place].set_title(title, loc="left", fontweight="bold")
        last = place % columns == columns - 1
        panels.append(Panel(grid[place], part, " ".join(title.split()), last))

    _number_below(grid, len(keys), columns)
    return sheet, panels


def _number_below(grid: np.ndarray, taken: int, columns: int) -> None:
    """Show the numbers of the axis below each panel that has no other below, or is in one column.

    In one column panels may be screens apart. Places of the grid that no panel takes stay empty.
    """
    if columns == 1:
        for axes in grid:
            axes.tick_params(labelbottom=True)
    for place in range(taken, len(grid)):
        grid[place].set_axis_off()
        grid[place - columns].tick_params(labelbottom=True)


def grid_of(
    look: Look, rows: int, columns: int, width: float, height: float, *, sharex: bool = False
) -> tuple[Canvas, np.ndarray]:
    """Return a canvas with a panel per row and column: outcomes down, factors or levels across.

    Panels of a row share their vertical axis, those of a column the other one. Stacked ones stand
    below each other, column by column.

    Args:
        look: whether they are stacked.
        rows: how many outcomes.
        columns: how many factors or levels.
        width: inches of the canvas.
        height: inches of a row of panels.
        sharex: whether all panels share the horizontal axis.
    """
    if not look.stacked:
        sheet = blank(width, 0.7 + height * rows)
        share: Literal["all", "col"] = "all" if sharex else "col"
        return sheet, sheet.subplots(rows, columns, sharex=share, sharey="row", squeeze=False)
    sheet = blank(width, 0.7 + (height + 0.15) * rows * columns)
    grid = sheet.subplots(rows * columns, squeeze=False).reshape(columns, rows).T
    for panels in grid:
        for axes in panels[1:]:
            axes.sharey(panels[0])
    return sheet, grid


def _rows_of(table: pd.DataFrame, factors: Sequence[str], key: tuple[Any, ...]) -> pd.DataFrame:
    """Return the rows with these levels."""
    for factor, level in zip(factors, key, strict=True):
        table = table[table[factor] == level]
    return table


def _title(look: Look, factors: Sequence[str], key: tuple[Any, ...], letters: int) -> str:
    """Return the title of a panel, in lines of so many letters."""
    names = [look.labels.named(f, level) for f, level in zip(factors, key, strict=True)]
    whole = " · ".join(names)
    if len(whole) <= letters:
        return whole
    return "\n".join(line for name in names for line in textwrap.wrap(name, letters))


def _order(table: pd.DataFrame, facets: Sequence[str]) -> tuple[str, str]:
    """Return the factor that goes across, which has fewer levels, and the one that goes down."""
    count = {f: table[f].nunique() for f in facets}
    across, down, *_ = [*sorted(facets, key=count.__getitem__), "", ""]
    return across, down


def words(
    sheet: Canvas, colors: Mapping[str, str], styles: Sequence[Mapping[str, Any]] = ()
) -> None:
    """Write words in their colours above the panels, as a legend; long ones in several lines.

    Args:
        sheet: the canvas.
        colors: colour of each word.
        styles: how the line of each word is drawn; none: the words stand alone.
    """
    # The names are set afterwards: a legend would skip a leading "_".
    lines = styles or [{"color": color} for color in colors.values()]
    handles = [Line2D([], [], label="name", **line) for line in lines]
    handle = 2.2 if styles else 0.0
    room = 72 * (sheet.get_figwidth() - 0.2)
    shown = legend_names(list(colors), int((room / TEXT - handle - 1.8) / BOLD))
    longest = max((len(line) for name in shown for line in name.split("\n")), default=0)
    each = (BOLD * longest + handle + 1.8) * TEXT
    legend = sheet.legend(
        handles=handles,
        loc="outside upper left",
        ncols=max(1, min(len(colors), int(room / each))),
        handlelength=handle,
        handletextpad=0.5 if styles else 0,
        fontsize=TEXT,
        columnspacing=1.2,
        borderpad=0.2,
    )
    for text, name, color in zip(legend.get_texts(), shown, colors.values(), strict=True):
        text.set(text=name, color=ink(color), fontweight="bold")


def legend_names(names: Sequence[str], letters: int) -> list[str]:
    """Return names for a legend, in lines of so many letters.

    Only what has no room in its lines, of which few names have more, is left out in the middle.
    """
    most = min(MOST_LINES, max(1, LEGEND_LINES // max(1, len(names))))
    # Lines end between words: of several a part stays empty.
    fit = letters if most == 1 else most * letters * 2 // 3
    cut = Labels(levels={"": {name: name for name in names}}).drawn(fit)
    return ["\n".join(textwrap.wrap(cut.level("", name), letters)) for name in names]


def name_lines(sheet: Canvas, ends: Mapping[Axes, Sequence[tuple[float, float, str, str]]]) -> None:
    """Label lines at their right ends, moved up or down where labels would touch.

    Args:
        sheet: the canvas, complete but for these labels.
        ends: (x, y, text, colour) of each line of some panels. Names inside the grid of panels
            would push it apart: give those of the last column.
    """
    sheet.draw_without_rendering()  # the size of the panels is known only now
    pixel = sheet.dpi / 72
    for axes, lines in ends.items():
        wanted = [axes.transData.transform((x, y))[1] / pixel for x, y, _, _ in lines]
        places = spread(wanted, 9.5)
        frame = axes.get_window_extent()
        shift = _shift_into(places, frame.y0 / pixel - 4, frame.y1 / pixel + 4)
        for (x, y, text, color), place, want in zip(lines, places, wanted, strict=True):
            direct_label(axes, x, y, text, color, place + shift - want)


def _shift_into(places: Sequence[float], low: float, high: float) -> float:
    """Return by how much to move all places: none above `high`; else none below `low`."""
    if not places:
        return 0.0
    if max(places) > high:
        return high - max(places)
    return max(0.0, low - min(places))


def spread(wanted: Sequence[float], gap: float) -> list[float]:
    """Return the places nearest to the wanted ones (least squares) in their order, `gap` apart."""
    order = np.argsort(wanted, kind="stable")
    # Isotonic regression: less the gaps, places must not fall. Neighbours that do are pooled at
    # their mean.
    pools: list[list[float]] = []
    for rank, i in enumerate(order):
        pools.append([wanted[i] - rank * gap])
        while len(pools) > 1 and np.mean(pools[-2]) > np.mean(pools[-1]):
            last = pools.pop()
            pools[-1] += last
    flat = [float(np.mean(pool)) for pool in pools for _ in pool]
    places = [0.0] * len(wanted)
    for rank, i in enumerate(order):
        places[i] = flat[rank] + rank * gap
    return places


@dataclass(frozen=True)
class _Position:
    """A candidate position of a label: offset in points, alignment, box, leader line and cost."""

    offset: tuple[float, float]
    alignment: dict[str, str]
    box: Bbox
    leader: list[Path]
    cost: float


def name_points(axes: Axes, points: np.ndarray, texts: Sequence[str], lines: np.ndarray) -> None:
    """Label points where there is room: beside them, else farther off with a thin line.

    Args:
        axes: where the points are, complete but for labels.
        points: data coordinates (points x 2).
        texts: a label each; empty: none.
        lines: data coordinates of both ends of level and upright lines that labels should not
            cover (lines x 2 x 2).
    """
    sheet = axes.get_figure(root=True)
    assert sheet is not None
    sheet.draw_without_rendering()  # the size of the panel is known only now
    centres = axes.transData.transform(points)
    drawn = axes.transData.transform(lines.reshape(-1, 2)).reshape(-1, 2, 2)

    # Every position that each label could have.
    notes: list[Annotation] = []
    candidates: list[list[_Position]] = []
    for point, centre, text in zip(points, centres, texts, strict=True):
        if text:
            note = axes.annotate(
                text,
                point,
                xytext=(0, 0),
                textcoords="offset points",
                fontsize=SMALL + 0.5,
                color="#222222",
                bbox={"facecolor": "white", "alpha": 0.7, "linewidth": 0, "pad": 0.6},
                zorder=4,
            )
            notes.append(note)
            candidates.append(_candidates(axes, note, centre, centres, drawn, sheet.dpi / 72))

    # The greedy search depends on which label is first: with few labels, every one is tried.
    firsts = range(len(notes)) if len(notes) <= CURVES else [0]
    tried = [_choose(candidates, first) for first in firsts]
    _, chosen = min(tried, key=lambda result: result[0], default=(0.0, []))

    # Put the labels there, with a line to the point from those that are far off.
    for note, position in zip(notes, chosen, strict=True):
        note.set(position=position.offset, **position.alignment)
        note.set_in_layout(False)
        if position.leader:
            line = {
                "arrowstyle": "-",
                "color": NEUTRAL,
                "linewidth": 0.6,
                "shrinkA": 1,
                "shrinkB": 4,
            }
            axes.annotate(
                "", note.xy, xytext=position.offset, textcoords="offset points", arrowprops=line
            ).set_in_layout(False)


def _choose(candidates: Sequence[Sequence[_Position]], first: int) -> tuple[float, list[_Position]]:
    """Place labels greedily in three passes; return the total cost and each label's position.

    A pass begins with label `first`, and gives each label the cheapest position among those that
    the other labels have at that time.
    """
    chosen: dict[int, _Position] = {}
    costs: dict[int, float] = {}
    one_pass = [*range(first, len(candidates)), *range(first)]
    for i in [*one_pass, *one_pass, *one_pass]:
        others = [position for j, position in chosen.items() if j != i]
        boxes = [position.box for position in others]
        leaders = [line for position in others for line in position.leader]
        costs[i] = math.inf
        for position in candidates[i]:
            if position.cost >= costs[i]:
                break  # sorted by cost: no later one is cheaper
            cost = _cost_among(position, boxes, leaders, costs[i])
            if cost < costs[i]:
                costs[i], chosen[i] = cost, position
    return sum(costs.values()), [chosen[i] for i in range(len(candidates))]


def _cost_among(
    position: _Position, boxes: Sequence[Bbox], leaders: Sequence[Path], limit: float
) -> float:
    """Return the cost of a position among the boxes and leader lines of other labels.

    From `limit` on the cost is not computed to the end.
    """
    cost = position.cost + OVERLAP * position.box.count_overlaps(boxes)
    if cost >= limit:
        return cost
    crossed = sum(own.intersects_path(other) for own in position.leader for other in leaders)
    touched = _crossings(position.leader, boxes) + _crossings(leaders, [position.box])
    return cost + CROSSING * (crossed + touched)


def _candidates(
    axes: Axes,
    note: Annotation,
    centre: np.ndarray,
    centres: np.ndarray,
    drawn: np.ndarray,
    pixel: float,
) -> list[_Position]:
    """Return all positions of a label by rising cost.

    Cheap are positions inside the panel, beside no other point, off the lines, and near.
    """
    frame = axes.get_window_extent().padded(-2 * pixel)
    dots = [Bbox([xy, xy]).padded(4 * pixel) for xy in centres]
    other_dots = [dot for dot in dots if not dot.contains(*centre)]
    found = []
    for distance, offset, alignment in _offsets():
        note.set(position=offset, **alignment)
        box = note.get_window_extent().padded(pixel)
        leader = []
        closer = float(_distances(box, centre))  # a point closer than this seems to be meant
        extra = 0.0
        if distance > BESIDE:
            leader = [Path([centre, centre + np.multiply(offset, pixel)])]
            closer = 4 * pixel
            extra = 0.5 + distance / 40
        outside = not all(frame.contains(*corner) for corner in box.corners())
        misread = _crossings(leader, other_dots) + (_distances(box, centres) < closer).sum()
        cost = OVERLAP * outside + CROSSING * misread + COVERING * box.count_overlaps(drawn) + extra
        found.append(_Position(offset, alignment, box, leader, cost))
    return sorted(found, key=lambda position: position.cost)


def _distances(box: Bbox, points: np.ndarray) -> np.ndarray:
    """Return how far points are from a box; 0 inside."""
    return np.linalg.norm(points - np.clip(points, box.min, box.max), axis=-1)


def _crossings(lines: Sequence[Path], boxes: Sequence[Bbox]) -> int:
    return sum(line.intersects_bbox(box, filled=False) for line in lines for box in boxes)


def _offsets() -> Iterator[tuple[int, tuple[float, float], dict[str, str]]]:
    """Yield the distance in points, the offset and the alignment of labels, near ones first."""
    for distance in DISTANCES:
        for dx, dy in DIRECTIONS:
            for horizontal in _sides(dx, "left", "right", ("center", "left", "right")):
                (vertical,) = _sides(dy, "bottom", "top", ("center",))
                alignment = {"ha": horizontal, "va": vertical}
                yield distance, (dx * distance, dy * distance), alignment


def _sides(step: float, ahead: str, behind: str, level: tuple[str, ...]) -> tuple[str, ...]:
    """Return the alignments for a step forward, a step back, and none."""
    if step > 0:
        return (ahead,)
    if step < 0:
        return (behind,)
    return level
