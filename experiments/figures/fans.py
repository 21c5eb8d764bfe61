"""Quantile fans of what devices own over the rounds of a sweep, honest against adversary."""

from __future__ import annotations

import pandas as pd
import seaborn as sns
from matplotlib.ticker import FuncFormatter

from experiments.figures.base import WHO, Look, Sheet, SweepFigure, rounds_axis, thousands
from experiments.figures.factors import choose, ordered
from experiments.figures.gains import OWNED, OWNED_NEEDS, asset, asset_of
from experiments.figures.panels import multiples, words
from experiments.results import Results, sql_name

QUANTILES = {"p5": 0.05, "p25": 0.25, "p50": 0.5, "p75": 0.75, "p95": 0.95}
VALUES = ("who", "round", *QUANTILES, "devices")


def data(results: Results) -> pd.DataFrame:
    """Return one row per shown levels, kind of device and round.

    It has quantiles over devices and seeds of what they own, in base units.
    """
    outcomes = ordered(results, results.outcomes())
    if outcomes.empty:
        return pd.DataFrame()
    chosen = choose(results, outcomes, ["honest_utility", "adversary_utility"], 2)
    keys = [*(f"p.{sql_name(f)}" for f in chosen.shown), "o.who", "o.round"]
    spread = ", ".join(f"quantile_cont(o.gained, {q}) as {name}" for name, q in QUANTILES.items())
    table = results.sql(
        f"select {', '.join(keys)}, {spread}, count(distinct (o.run_id, o.device)) as devices "
        f"from ({OWNED}) o join p using (run_id) "
        f"group by {', '.join(keys)}",
        t="participants",
    ).astype({f: outcomes[f].dtype for f in chosen.shown})
    if not table[list(QUANTILES)].any(axis=None):
        return pd.DataFrame()  # nobody was ever paid
    table = table.sort_values([*chosen.shown, "who", "round"], ignore_index=True)
    table.attrs |= {"notes": chosen.notes, "asset": asset_of(results)}
    return table


def draw(table: pd.DataFrame, look: Look) -> Sheet:
    """Draw the median over two bands per kind of device."""
    notes: list[str] = []
    facets = [c for c in table.columns if c not in VALUES]
    sheet, panels = multiples(table, facets, look, notes)
    for panel in panels:
        for who, color in WHO.items():
            part = panel.part[panel.part["who"] == who]
            if part.empty:
                continue
            for low, high, alpha in (("p5", "p95", 0.15), ("p25", "p75", 0.25)):
                panel.axes.fill_between(
                    part["round"], part[low], part[high], color=color, alpha=alpha, linewidth=0
                )
            sns.lineplot(
                part,
                x="round",
                y="p50",
                color=color,
                ax=panel.axes,
                errorbar=None,
                legend=False,
            )
        panel.axes.axhline(0, color="#999999", linewidth=0.8, zorder=0.5)
        panel.axes.set(xlabel="", ylabel="")
        rounds_axis(panel.axes, int(table["round"].max()))
        panel.axes.yaxis.set_major_formatter(FuncFormatter(thousands))
    sheet.supxlabel("round", fontsize="medium")
    unit = asset(table.attrs)
    sheet.supylabel(f"cumulative net income ({unit})", fontsize="medium")
    words(sheet, {who: color for who, color in WHO.items() if (table["who"] == who).any()})
    return Sheet(sheet, notes)


FIGURE = SweepFigure(
    name="stake-fans",
    title="What devices own",
    caption="Cumulative net income, locked stake included: median over devices and seeds, bands "
    "from the 25th to the 75th and from the 5th to the 95th percentile.",
    needs={"participants": (*OWNED_NEEDS, "utility")},
    data=data,
    draw=draw,
    order=50,
)
