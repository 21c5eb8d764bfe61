"""Draw lines over rounds with bands over seeds, labelled at their ends."""

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
    """Draw one line per arm: mean over seeds, band from lowest to highest, label at the end.

    Args:
        table: has columns arm, `x`, `y`.
        axes: drawn on; its y-range must be set before, since distances of labels depend on it.
        y: column that is drawn.
        arms: label and colour of each arm.
        x: column along the axis.
        gap: least distance between labels, as a share of the axis.
    """
    ends = []
    for arm, (label, color) in arms.items():
        groups = table[table["arm"] == arm].dropna(subset=y).groupby(x)[y]
        if not len(groups):
            continue
        mean, low, high = groups.mean(), groups.min(), groups.max()
        axes.fill_between(mean.index, low, high, color=color, alpha=0.15, linewidth=0)
        axes.plot(mean.index, mean, color=color)
        ends.append((float(mean.iloc[-1]), label, color))
    axes.set_xlabel(x)
    first, last = float(table[x].min()), float(table[x].max())
    axes.set_xlim(first, max(last, first + 1))
    low_end, high_end = axes.get_ylim()
    _label(axes, ends, gap * (high_end - low_end))


def _label(axes: Axes, ends: Iterable[tuple[float, str, str]], least: float) -> None:
    """Place labels in the order of their lines, at least `least` apart.

    All are then shifted so that they are on average where their lines end.
    """
    lines = sorted(ends)
    places: list[float] = []
    for y, _, _ in lines:
        places.append(max(y, places[-1] + least) if places else y)
    pushed = sum(place - y for place, (y, _, _) in zip(places, lines, strict=True))
    shift = pushed / max(1, len(lines))
    for place, (_, label, color) in zip(places, lines, strict=True):
        direct_label(axes, axes.get_xlim()[1], place - shift, label, color)
