"""Distribution of income over devices, honest against adversary."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, MaxNLocator

from experiments.figures.base import WHO, Sheet, SweepFigure, thousands
from experiments.figures.factors import choose, label, ordered
from experiments.figures.gains import CAPTION, OWNED_NEEDS, gains, per_run
from experiments.figures.panels import CURVES, keep, levels, multiples, words
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
    table.attrs["notes"] = chosen.notes
    return table


def draw(table: pd.DataFrame) -> Sheet:
    """Draw boxes from quartile to quartile with whiskers to the 5th and 95th percentile."""
    notes: list[str] = []
    down, *facets = [c for c in table.columns if c not in VALUES] or [""]
    if down:
        table = keep(table, down, CURVES, notes)
        table = table.assign(level=[label(down, v) for v in table[down]])
        order = [label(down, v) for v in levels(table[down])]
    else:
        table, order = table.assign(level="all runs"), ["all runs"]
    present = {who: color for who, color in WHO.items() if (table["who"] == who).any()}
    sheet, panels = multiples(table, facets, notes, height=0.5 + 0.4 * len(order))
    for panel in panels:
        for k, (who, color) in enumerate(present.items()):
            own = panel.part[panel.part["who"] == who]
            for i, name in enumerate(order):
                gained = own.loc[own["level"] == name, "gained"]
                if not gained.empty:
                    at = i + (k + 0.5) / len(present) - 0.5
                    _draw_box(panel.axes, gained, at, 0.62 / len(present), color)
        panel.axes.set_yticks(range(len(order)), order)
        panel.axes.set_ylim(len(order) - 0.5, -0.5)
        panel.axes.grid(False, axis="y")
        panel.axes.axvline(0, color="#999999", linewidth=0.8, zorder=0.5)
        panel.axes.set(xlabel="", ylabel="")
        panel.axes.xaxis.set_major_formatter(FuncFormatter(thousands))
        panel.axes.xaxis.set_major_locator(MaxNLocator(3))
    sheet.supxlabel("net income per device and run (base units)", fontsize=10)
    words(sheet, present)
    return Sheet(sheet, notes)


def _draw_box(axes: Axes, gained: pd.Series, at: float, width: float, color: str) -> None:
    """Draw one box from quantiles (seaborn's own call of matplotlib's box is deprecated there)."""
    quantiles = np.quantile(gained, list(BOX.values()))
    axes.bxp(
        [dict(zip(BOX, quantiles, strict=True))],
        [at],
        widths=width,
        orientation="horizontal",
        showfliers=False,
        patch_artist=True,
        manage_ticks=False,
        capwidths=0.15,
        boxprops={"facecolor": color, "alpha": 0.75, "linewidth": 0},
        medianprops={"color": "black", "linewidth": 1.4},
        whiskerprops={"color": color},
        capprops={"color": color},
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
