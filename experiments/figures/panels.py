"""Small multiples in lock-step, and labels beside what they name that do not overlap."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import ceil
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas
from matplotlib.lines import Line2D
from matplotlib.text import Annotation
from matplotlib.transforms import Bbox

from experiments.figures.base import NEUTRAL, blank, direct_label, ink
from experiments.figures.factors import label, thin

CURVES, PANELS, COLUMNS = 8, 12, 4
WIDTHS = {1: 5.2, 2: 6.6, 3: 7.8, 4: 9.0}


TITLE = 22
"""Letters of a title that fit above a panel."""


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
        notes.append(f"{len(kept)} of the {len(there)} levels of {factor} are drawn; the CSV has all.")
    return table[table[factor].isin(kept)]


def multiples(table: pd.DataFrame, facets: Sequence[str], notes: list[str], *, height: float = 1.9) -> tuple[Canvas, list[Panel]]:
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
        columns = ceil(len(keys) / ceil(len(keys) / COLUMNS))
    rows = ceil(len(keys) / columns)
    names = [f for f in (tall, wide) if f]
    titles = {key: " · ".join(label(f, v) for f, v in zip(names, key, strict=True)) for key in keys}
    if max(map(len, titles.values())) > TITLE:
        titles, height = {key: told.replace(" · ", "\n") for key, told in titles.items()}, height + 0.15
    sheet = blank(WIDTHS[columns], 3.2 if len(keys) == 1 else 0.7 + height * rows + (0.4 if rows == 1 else 0))
    grid = sheet.subplots(rows, columns, sharex=True, sharey=True, squeeze=False).ravel()
    panels = []
    for place, key in enumerate(keys):
        part = table
        for factor, level in zip(names, key, strict=True):
            part = part[part[factor] == level]
        if key:
            grid[place].set_title(titles[key], loc="left", fontsize=9.5, fontweight="bold")
        panels.append(Panel(grid[place], part, place % columns == columns - 1))  # names inside the grid would push it apart
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
    handles = [Line2D([], [], color=c, label=name) for name, c in colors.items()]
    legend = sheet.legend(
        handles=handles, loc="outside upper left", ncols=len(colors), handlelength=0, handletextpad=0, fontsize=10,
        columnspacing=1.2,
    )  # fmt: skip
    for text, color in zip(legend.get_texts(), colors.values(), strict=True):
        text.set(color=ink(color), fontweight="bold")


def name_lines(sheet: Canvas, ends: Mapping[Axes, Sequence[tuple[float, float, str, str]]]) -> None:
    """Label lines at their right ends: (x, y, text, colour) each, moved up or down where labels would touch."""
    sheet.draw_without_rendering()  # the room is known only now
    for axes, lines in ends.items():
        pixel = sheet.dpi / 72
        wanted = [axes.transData.transform((x, y))[1] / pixel for x, y, _, _ in lines]
        places = spread(wanted, 11.0)
        low, high = axes.get_window_extent().y0 / pixel, axes.get_window_extent().y1 / pixel
        moved = min(0.0, high + 4 - max(places, default=high)) or max(0.0, low - 4 - min(places, default=low))
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


def name_points(axes: Axes, points: Sequence[tuple[float, float]], texts: Sequence[str], avoid: Any) -> None:
    """Label points where there is room: beside them, else farther off with a thin line.

    Args:
        axes: where the points are, complete but for labels.
        points: data coordinates.
        texts: a label each; empty: none.
        avoid: data coordinates of all that labels must not cover.
    """
    sheet = axes.get_figure(root=True)
    assert sheet is not None
    sheet.draw_without_rendering()
    renderer = sheet.canvas.get_renderer()  # type: ignore[attr-defined]
    pixel = sheet.dpi / 72
    frame = axes.get_window_extent().padded(-3 * pixel)
    labels: list[Bbox] = []
    marks = [Bbox.from_bounds(x - 4 * pixel, y - 4 * pixel, 8 * pixel, 8 * pixel) for x, y in axes.transData.transform(avoid)]
    for point, text in zip(points, texts, strict=True):
        if not text:
            continue
        note = axes.annotate(text, point, xytext=(0, 0), textcoords="offset points", fontsize=8.5, color="#222222")
        tried: list[tuple[int, int, tuple[float, float, str, str], Bbox]] = []
        for place in _around():
            _put(note, place)
            box = note.get_window_extent(renderer)
            outside = box.x0 < frame.x0 or box.x1 > frame.x1 or box.y0 < frame.y0 or box.y1 > frame.y1
            worst = outside or box.count_overlaps(labels) > 0
            tried.append((100 * int(worst) + box.count_overlaps(marks), len(tried), place, box))
            if tried[-1][0] == 0:
                break
        _, _, place, box = min(tried, key=lambda t: t[:2])
        _put(note, place)
        note.set_in_layout(False)
        labels.append(box)
        if abs(place[0]) + abs(place[1]) > 16:
            line = {"arrowstyle": "-", "color": NEUTRAL, "linewidth": 0.6, "shrinkA": 1, "shrinkB": 4}
            axes.annotate("", point, xytext=place[:2], textcoords="offset points", arrowprops=line).set_in_layout(False)


def _put(note: Annotation, place: tuple[float, float, str, str]) -> None:
    dx, dy, ha, va = place
    note.set(position=(dx, dy), ha=ha, va=va)


def _around() -> Iterator[tuple[float, float, str, str]]:
    """Offsets in points, near ones first, and how the text hangs on them."""
    for far in (6, 14, 24, 36, 50, 66, 84, 104, 126, 150):
        for dx, dy in ((1, 0), (-1, 0), (0, 1), (0, -1), (0.7, 0.7), (-0.7, 0.7), (0.7, -0.7), (-0.7, -0.7)):
            ha = "left" if dx > 0 else "right" if dx < 0 else "center"
            va = "bottom" if dy > 0 else "top" if dy < 0 else "center"
            yield dx * far, dy * far, ha, va
