"""Small multiples in lock-step, and labels beside what they name that do not overlap."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas
from matplotlib.lines import Line2D
from matplotlib.path import Path
from matplotlib.text import Annotation
from matplotlib.transforms import Bbox

from experiments.figures.base import NEUTRAL, blank, direct_label, ink
from experiments.figures.factors import label, thin

CURVES, PANELS, COLUMNS = 8, 12, 4
WIDTHS = {1: 5.2, 2: 6.6, 3: 7.8, 4: 9.0}
TITLE = 22
"""Letters of a title that fit above a panel."""
BESIDE = 6
"""Points between a point and a label that needs no line to it."""
OVERLAP, CROSSING, COVERING = 100, 6, 2
"""How bad it is that labels overlap or leave their panel, that one seems to name another point, that it covers a line."""


@dataclass(frozen=True)
class Panel:
    """One of the small multiples, its part of the table, and whether it is in the last column."""

    axes: Axes
    part: pd.DataFrame
    last: bool


def levels(column: pd.Series) -> list[Any]:
    """Levels that occur, in order."""
    return [v for v in column.cat.categories if v in set(column)]


def keep(table: pd.DataFrame, factor: str, most: int, notes: list[str]) -> pd.DataFrame:
    """Only so many levels of a factor; the caption says how many."""
    there = levels(table[factor])
    kept = thin(there, most)
    if len(kept) < len(there):
        notes.append(
            f"{len(kept)} of the {len(there)} levels of {factor} are drawn; the CSV has all."
        )
    return table[table[factor].isin(kept)]


def multiples(
    table: pd.DataFrame, facets: Sequence[str], notes: list[str], *, height: float = 1.9
) -> tuple[Canvas, list[Panel]]:
    """A panel per combination of up to two factors, axes shared, at most twelve; one panel without factors."""
    wide, tall = _order(table, facets)
    keys: list[tuple[Any, ...]] = [()]
    columns = 1
    if tall:
        table = keep(table, wide, COLUMNS, notes)
        columns = len(levels(table[wide]))
        table = keep(table, tall, PANELS // columns, notes)
        keys = list(itertools.product(levels(table[tall]), levels(table[wide])))
    elif wide:
        table = keep(table, wide, PANELS, notes)
        keys = [(level,) for level in levels(table[wide])]
        columns = math.ceil(len(keys) / math.ceil(len(keys) / COLUMNS))
    rows = math.ceil(len(keys) / columns)
    names = [f for f in (tall, wide) if f]
    titles = {key: " · ".join(label(f, v) for f, v in zip(names, key, strict=True)) for key in keys}
    if max(map(len, titles.values())) > TITLE:
        titles, height = (
            {key: told.replace(" · ", "\n") for key, told in titles.items()},
            height + 0.15,
        )
    sheet = blank(
        WIDTHS[columns], 3.2 if len(keys) == 1 else 0.7 + height * rows + (0.4 if rows == 1 else 0)
    )
    grid = sheet.subplots(rows, columns, sharex=True, sharey=True, squeeze=False).ravel()
    panels = []
    for place, key in enumerate(keys):
        part = table
        for factor, level in zip(names, key, strict=True):
            part = part[part[factor] == level]
        if key:
            grid[place].set_title(titles[key], loc="left", fontsize=9.5, fontweight="bold")
        panels.append(
            Panel(grid[place], part, place % columns == columns - 1)
        )  # names inside the grid would push it apart
    for place in range(len(keys), len(grid)):
        grid[place].set_axis_off()
        grid[place - columns].tick_params(labelbottom=True)
    return sheet, panels


def _order(table: pd.DataFrame, facets: Sequence[str]) -> tuple[str, str]:
    """(across, down): fewer levels across."""
    count = {f: len(levels(table[f])) for f in facets}
    across, down, *_ = [*sorted(facets, key=count.__getitem__), "", ""]
    return across, down


def words(sheet: Canvas, colors: Mapping[str, str]) -> None:
    """A line of words in their colours above the panels."""
    # The names are set afterwards: a legend would read "$" as a formula and skip a leading "_".
    handles = [Line2D([], [], color=color, label="name") for color in colors.values()]
    legend = sheet.legend(
        handles=handles, loc="outside upper left", ncols=len(colors), handlelength=0, handletextpad=0, fontsize=10,
        columnspacing=1.2,
    )  # fmt: skip
    for text, (name, color) in zip(legend.get_texts(), colors.items(), strict=True):
        text.set(text=name, color=ink(color), fontweight="bold", parse_math=False)


def name_lines(sheet: Canvas, ends: Mapping[Axes, Sequence[tuple[float, float, str, str]]]) -> None:
    """Label lines at their right ends: (x, y, text, colour) each, moved up or down where labels would touch."""
    sheet.draw_without_rendering()  # the room is known only now
    for axes, lines in ends.items():
        pixel = sheet.dpi / 72
        wanted = [axes.transData.transform((x, y))[1] / pixel for x, y, _, _ in lines]
        places = spread(wanted, 11.0)
        low, high = axes.get_window_extent().y0 / pixel, axes.get_window_extent().y1 / pixel
        moved = min(0.0, high + 4 - max(places, default=high)) or max(
            0.0, low - 4 - min(places, default=low)
        )
        for (x, y, text, color), place, want in zip(lines, places, wanted, strict=True):
            direct_label(axes, x, y, text, color, place + moved - want)


def spread(wanted: Sequence[float], gap: float) -> list[float]:
    """The places nearest to the wanted ones (least squares) that keep their order and are `gap` apart."""
    order = np.argsort(wanted, kind="stable")
    # Without the gaps the order alone is left to hold: neighbours that break it are pooled at their mean.
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
class _Place:
    """Where a label may be: offset in points, how it hangs there, its box, its line to the point, how bad all that is."""

    offset: tuple[float, float]
    hangs: dict[str, str]
    box: Bbox
    line: list[Path]
    cost: float


def name_points(axes: Axes, points: np.ndarray, texts: Sequence[str], lines: np.ndarray) -> None:
    """Label points where there is room: beside them, else farther off with a thin line.

    Args:
        axes: where the points are, complete but for labels.
        points: data coordinates (points x 2).
        texts: a label each; empty: none.
        lines: data coordinates of both ends of level and upright lines that labels should not cover (lines x 2 x 2).
    """
    sheet = axes.get_figure(root=True)
    assert sheet is not None
    sheet.draw_without_rendering()
    centres, drawn = (axes.transData.transform(given.reshape(-1, 2)) for given in (points, lines))
    notes, places = [], []
    for point, centre, text in zip(points, centres, texts, strict=True):
        if text:
            notes.append(
                axes.annotate(
                    text,
                    point,
                    xytext=(0, 0),
                    textcoords="offset points",
                    fontsize=8.5,
                    color="#222222",
                )
            )
            places.append(
                _places(axes, notes[-1], centre, centres, drawn.reshape(-1, 2, 2), sheet.dpi / 72)
            )
    tried = [
        _settle(places, first) for first in (range(len(places)) if len(places) <= CURVES else [0])
    ]
    for note, place in zip(
        notes, min(tried, key=lambda found: found[0], default=(0.0, []))[1], strict=True
    ):
        note.set(position=place.offset, **place.hangs)
        note.set_in_layout(False)
        if place.line:
            line = {
                "arrowstyle": "-",
                "color": NEUTRAL,
                "linewidth": 0.6,
                "shrinkA": 1,
                "shrinkB": 4,
            }
            axes.annotate(
                "", note.xy, xytext=place.offset, textcoords="offset points", arrowprops=line
            ).set_in_layout(False)


def _settle(places: Sequence[Sequence[_Place]], first: int) -> tuple[float, list[_Place]]:
    """How bad it is in all, and the place of each label, when one after the other takes its best, and does so again twice."""
    taken: dict[int, _Place] = {}
    costs: dict[int, float] = {}
    for i in 3 * [*range(first, len(places)), *range(first)]:
        others = [place for j, place in taken.items() if j != i]
        boxes, lines = (
            [place.box for place in others],
            [line for place in others for line in place.line],
        )
        costs[i] = math.inf
        for place in places[i]:
            if place.cost >= costs[i]:
                break  # the best come first
            cost = place.cost + OVERLAP * place.box.count_overlaps(boxes)
            if cost < costs[i]:
                crossed = sum(line.intersects_path(other) for line in place.line for other in lines)
                cost += CROSSING * (
                    crossed + _crossings(place.line, boxes) + _crossings(lines, [place.box])
                )
            if cost < costs[i]:
                costs[i], taken[i] = cost, place
    return sum(costs.values()), [taken[i] for i in range(len(places))]


def _places(
    axes: Axes,
    note: Annotation,
    centre: np.ndarray,
    centres: np.ndarray,
    drawn: np.ndarray,
    pixel: float,
) -> list[_Place]:
    """All places of a label, the best first: in the panel, not as if it named another point, off lines, near."""
    frame = axes.get_window_extent().padded(-2 * pixel)
    dots = [
        dot
        for dot in (Bbox([xy, xy]).padded(4 * pixel) for xy in centres)
        if not dot.contains(*centre)
    ]
    found = []
    for far, offset, hangs in _around():
        note.set(position=offset, **hangs)
        box = note.get_window_extent().padded(pixel)
        line = [Path([centre, centre + np.multiply(offset, pixel)])] if far > BESIDE else []
        outside = not all(frame.contains(*corner) for corner in box.corners())
        wrong = (
            _crossings(line, dots)
            + (_away(box, centres) < (4 * pixel if line else _away(box, centre))).sum()
        )
        cost = (
            OVERLAP * outside
            + CROSSING * wrong
            + COVERING * box.count_overlaps(drawn)
            + (0.5 + far / 40 if line else 0)
        )
        found.append(_Place(offset, hangs, box, line, cost))
    return sorted(found, key=lambda place: place.cost)


def _away(box: Bbox, points: np.ndarray) -> np.ndarray:
    return np.linalg.norm(points - np.clip(points, box.min, box.max), axis=-1)


def _crossings(lines: Sequence[Path], boxes: Sequence[Bbox]) -> int:
    return sum(line.intersects_bbox(box, filled=False) for line in lines for box in boxes)


def _around() -> Iterator[tuple[int, tuple[float, float], dict[str, str]]]:
    """How far off in points, the offset, and how the text hangs there; near ones first."""
    for far in (BESIDE, 14, 24, 36, 50, 66, 84, 104, 126, 150):
        for dx, dy in (
            (1, 0),
            (-1, 0),
            (0, 1),
            (0, -1),
            (0.7, 0.7),
            (-0.7, 0.7),
            (0.7, -0.7),
            (-0.7, -0.7),
        ):
            va = "bottom" if dy > 0 else "top" if dy < 0 else "center"
            for ha in (
                ("left",) if dx > 0 else ("right",) if dx < 0 else ("center", "left", "right")
            ):
                yield far, (dx * far, dy * far), {"ha": ha, "va": va}
