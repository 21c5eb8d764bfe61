"""Figures of an audit: what each deviation gains, and what splitting and colluding gain."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.ticker import FuncFormatter

from experiments.audits.audit import Audit
from experiments.figures.base import SCREEN, Sheet, blank, style, thousands
from experiments.labels import shorten
from experiments.reports.page import Panel, save

MOST = 20
"""Variants that the figure shows; the CSV has all."""
LETTERS = 30
COLOURS = {"profitable": "#B3123B", "compatible": "#117733", "undecided": "#777777"}
MARKERS = {"profitable": "o", "compatible": "s", "undecided": "D"}
WIDE = 5.6
"""Inches."""
CAPTION = (
    "Mean gain over the same device when nobody deviates, paired by seed, with the interval that "
    "holds for all variants together. Dashed: the largest gain that counts as none. An interval "
    "that leaves the figure ends in an arrow."
)


def gains_panel(audit: Audit, folder: Path, command: str) -> Panel | None:
    """Draw the gains and save them as `gains`; return None where nothing was played."""
    table = audit.frame()
    if table.empty:
        return None
    shown = audit.leading(MOST)
    with style():
        wide, small = (_draw(shown, audit.epsilon, width) for width in (WIDE, SCREEN))
        return save(
            wide.canvas,
            table,
            folder,
            name="gains",
            title="What deviating gains",
            caption=CAPTION,
            command=command,
            small=small.canvas,
        )


def _draw(table: pd.DataFrame, epsilon: float, width: float) -> Sheet:
    rows = table.iloc[::-1].reset_index(drop=True)
    sheet = blank(width, 0.9 + 0.2 * len(rows))
    axes = sheet.subplots()
    low, high = _window(rows, epsilon)
    for at, row in enumerate(rows.to_dict("records")):
        color, marker = COLOURS[row["verdict"]], MARKERS[row["verdict"]]
        ends = np.clip([row["gain_low"], row["gain_high"]], low, high)
        axes.hlines(at, *ends, color=color, linewidth=1.2)
        axes.plot(row["gain"], at, marker=marker, color=color, markersize=3.5)
        for end, edge, arrow in (("gain_low", low, "<"), ("gain_high", high, ">")):
            if not low <= row[end] <= high:
                axes.plot(edge, at, marker=arrow, color=color, markersize=4, clip_on=False)
    axes.axvline(0, color="#CCCCCC", linewidth=0.8, zorder=0)
    axes.axvline(epsilon, color="#555555", linewidth=0.9, linestyle="--", zorder=0)
    names = [shorten(str(name), LETTERS) for name in rows["variant"]]
    axes.set_yticks(range(len(rows)), names)
    axes.set_xlim(low, high)
    axes.set_ylim(-0.6, len(rows) - 0.4)
    axes.set_xlabel("gain (base units per run)")
    axes.xaxis.set_major_formatter(FuncFormatter(thousands))
    axes.locator_params(axis="x", nbins=2 if width < WIDE else 4)
    handles = [
        axes.plot([], [], color=COLOURS[v], marker=MARKERS[v], markersize=3.5, label=v)[0]
        for v in COLOURS
        if (rows["verdict"] == v).any()
    ]
    sheet.legend(handles=handles, loc="outside upper center", ncols=len(handles), frameon=False)
    return Sheet(sheet, [])


def _window(rows: pd.DataFrame, epsilon: float) -> tuple[float, float]:
    """Return the ends of the axis: room around the means, for intervals of up to twice that."""
    means = rows["gain"].to_numpy(float)
    least, most = min(0.0, means.min()), max(epsilon, means.max())
    room = 0.35 * (most - least)
    return least - room, most + room
