"""Lines over rounds with bands over seeds, labelled at their ends."""

from __future__ import annotations

from collections.abc import Iterable

import pandas as pd
from matplotlib.axes import Axes

from experiments.figures.base import direct_label


def curves(
    table: pd.DataFrame,
    axes: Axes,
    y: str,
    arms: dict[str, tuple[str, str]],
    x: str = "round",
    gap: float = 0.06,
) -> None:
    """One line per arm: mean over seeds, band from lowest to highest, its label at the end.

    Args:
        table: has columns arm, `x`, `y`.
        axes: drawn on; set the range of its y-axis before, labels keep their distance on it.
        y: column that is drawn.
        arms: label and colour of each arm.
        x: column along the axis.
        gap: least distance between labels, as a share of the axis.
    """
    ends = []
    for arm, (label, color) in arms.items():
        at = table[table["arm"] == arm].groupby(x)[y]
        if not len(at):
            continue
        mean, low, high = at.mean(), at.min(), at.max()
        axes.fill_between(mean.index, low, high, color=color, alpha=0.15, linewidth=0)
        axes.plot(mean.index, mean, color=color)
        ends.append((float(mean.iloc[-1]), label, color))
    axes.set_xlabel(x)
    axes.set_xlim(float(table[x].min()), max(float(table[x].max()), float(table[x].min()) + 1))
    low_end, high_end = axes.get_ylim()
    _label(axes, ends, gap * (high_end - low_end))


def _label(axes: Axes, ends: Iterable[tuple[float, str, str]], least: float) -> None:
    """Labels in the order of their lines, pushed apart where they would touch, and on average where their lines end."""
    lines = sorted(ends)
    places: list[float] = []
    for y, _, _ in lines:
        places.append(max(y, places[-1] + least) if places else y)
    shift = sum(place - y for place, (y, _, _) in zip(places, lines, strict=True)) / max(
        1, len(lines)
    )
    for place, (_, label, color) in zip(places, lines, strict=True):
        direct_label(axes, axes.get_xlim()[1], place - shift, label, color)
