"""Distribution of income over devices, honest against adversary."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle
from matplotlib.ticker import FuncFormatter, MaxNLocator

from experiments.figures.base import SMALL, WHO, Look, Sheet, SweepFigure, ink, thousands
from experiments.figures.factors import choose, ordered
from experiments.figures.gains import CAPTION, OWNED_NEEDS, asset, asset_of, gains, per_run
from experiments.figures.panels import CURVES, keep, multiples, words
from experiments.results import Results

VALUES = ("seed", "device", "who", "gained")
BOX = {"whislo": 0.05, "q1": 0.25, "med": 0.5, "q3": 0.75, "whishi": 0.95}
"""Parts of a box, as matplotlib calls them, and their quantiles."""


def data(results: Results) -> pd.DataFrame:
    """Return one row per device of each run: its net income in base units."""
    people = gains(results)
    if not people["gained"].any():
        return pd.DataFrame()  # nobody was ever paid
    runs = ordered(results, results.runs().merge(per_run(people), on="run_id"))
    chosen = choose(results, runs, ["honest_gained", "adversary_gained"], 3)
    table = people.merge(runs[["run_id", *chosen.shown]], on="run_id")
    table = table.sort_values([*chosen.shown, "seed", "device"], ignore_index=True)
    table = table[[*chosen.shown, *VALUES]]
    table.attrs |= {"notes": chosen.notes, "asset": asset_of(results)}
    return table


def draw(table: pd.DataFrame, look: Look) -> Sheet:
    """Draw boxes from quartile to quartile with whiskers to the 5th and 95th percentile.

    A whisker far longer than the boxes is cut; a mark and its value say so.
    """
    notes: list[str] = []
    unit = asset(table.attrs)
    down, *facets = [c for c in table.columns if c not in VALUES] or [""]
    order, names = ["all runs"], {"all runs": "all runs"}
    if down:
        table = keep(table, down, CURVES, look, notes)
        order = look.levels(table[down])
        names = {level: look.labels.named(down, level) for level in order}
    present = {who: color for who, color in WHO.items() if (table["who"] == who).any()}
    sheet, panels = multiples(table, facets, look, notes, height=0.3 + 0.3 * len(order))
    boxes = [
        _Box(panel.axes, i + (k + 0.5) / len(present) - 0.5, color, _quantiles(gained))
        for panel in panels
        for k, (who, color) in enumerate(present.items())
        for i, level in enumerate(order)
        for gained in [_gains_of(panel.part, who, down, level)]
        if not gained.empty
    ]
    low, high = view([box.quantiles for box in boxes])
    for box in boxes:
        _draw_box(box, 0.62 / len(present), low, high)
    for panel in panels:
        panel.axes.set_yticks(range(len(order)), [names[level] for level in order])
        panel.axes.set_ylim(len(order) - 0.5, -0.5)
        panel.axes.set_xlim(low, high)
        panel.axes.grid(False, axis="y")
        panel.axes.axvline(0, color="#999999", linewidth=0.8, zorder=0.5)
        panel.axes.set(xlabel="", ylabel="")
        panel.axes.xaxis.set_major_formatter(FuncFormatter(thousands))
        panel.axes.xaxis.set_major_locator(MaxNLocator(3))
    if any(box.quantiles[0] < low or box.quantiles[-1] > high for box in boxes):
        notes.append("A whisker with an arrow goes on to the number beside it.")
    sheet.supxlabel(f"net income per device and run ({unit})", fontsize="medium")
    words(sheet, present)
    return Sheet(sheet, notes)


@dataclass(frozen=True)
class _Box:
    """A box: its axes, its place on them, its colour, and its five quantiles."""

    axes: Axes
    at: float
    color: str
    quantiles: np.ndarray


def _gains_of(part: pd.DataFrame, who: str, down: str, level: Any) -> pd.Series:
    """Return the gains of one kind of device at a level."""
    own = part[part["who"] == who]
    if down:
        own = own[own[down] == level]
    return own["gained"].astype(float)


def _quantiles(gained: pd.Series) -> np.ndarray:
    return np.quantile(gained, list(BOX.values()))


def view(boxes: Sequence[np.ndarray]) -> tuple[float, float]:
    """Return the part of the axis to show, of boxes given by their five quantiles.

    It has all quartiles, and every whisker that is not far longer than the spread of all quartiles.
    """
    ends = np.array(boxes)
    low, high = min(0.0, ends[:, 1].min()), max(0.0, ends[:, 3].max())
    span = high - low or 1.0
    near = ends[(ends >= low - span) & (ends <= high + span)]
    low, high = min(low, near.min()), max(high, near.max())
    margin = 0.06 * (high - low or 1.0)
    return low - margin, high + margin


def _draw_box(box: _Box, width: float, low: float, high: float) -> None:
    """Draw one box and what of its whiskers is in view."""
    least, first, median, third, most = box.quantiles
    half = width / 2
    box.axes.hlines(box.at, max(least, low), min(most, high), color=box.color, linewidth=1)
    # The edge keeps a box of no width in its colour.
    middle = Rectangle((first, box.at - half), third - first, width, color=box.color, linewidth=1.6)
    box.axes.add_patch(middle)
    for end in (least, most):
        if low <= end <= high:
            box.axes.vlines(end, box.at - half / 2, box.at + half / 2, color=box.color, linewidth=1)
    if third - first > 0.02 * (high - low):  # else the line would hide the box
        box.axes.vlines(median, box.at - half, box.at + half, color="white", linewidth=1.2)
    for end, edge_at, mark, side in ((least, low, "<", "left"), (most, high, ">", "right")):
        if not low <= end <= high:
            box.axes.plot([edge_at], [box.at], mark, color=box.color, markersize=4, clip_on=False)
            box.axes.annotate(
                thousands(end),
                (edge_at, box.at),
                xytext=(5 if side == "left" else -5, 4),
                textcoords="offset points",
                ha=side,
                va="bottom",
                fontsize=SMALL,
                color=ink(box.color),
                bbox={"facecolor": "white", "alpha": 0.75, "linewidth": 0, "pad": 0.3},
            )


FIGURE = SweepFigure(
    name="income-distributions",
    title="How income is spread",
    caption="Quartiles, median, and whiskers to the 5th and 95th percentile, "
    f"over devices and runs. {CAPTION}",
    needs={"participants": OWNED_NEEDS},
    data=data,
    draw=draw,
    order=60,
)
