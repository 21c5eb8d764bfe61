"""Shares of strategies per round, of devices that choose their behaviour."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
from matplotlib.axes import Axes

from experiments.figures.base import Figure, rounds_axis
from experiments.figures.over_rounds import label_curves
from experiments.runresult import RunResult

LEARNERS = (
    'select * from t semi join (select run_id, "group" from t group by run_id, "group", device '
    'having count(distinct strategy) > 1) using (run_id, "group") where strategy is not null'
)
"""SQL over `participants` (t): devices of the groups in which somebody changes its strategy."""
MOST = 8


def data(run: RunResult) -> pd.DataFrame:
    """Return one row per round and strategy: the share of strategic devices that play it."""
    people = run.participants[["round", "device", "group", "strategy"]].dropna()
    people = people.astype({"group": str, "strategy": str})
    played = people.groupby(["group", "device"])["strategy"].nunique()
    learners = set(played[played > 1].index.get_level_values("group"))
    people = people[people["group"].isin(learners)]
    if people.empty:
        return pd.DataFrame()
    seen = people.groupby(["round", "strategy"]).size().rename("devices").reset_index()
    return shares(seen, [])


def shares(seen: pd.DataFrame, runs: Sequence[str]) -> pd.DataFrame:
    """Return the share of each strategy in each round (of each run); 0 where nobody plays it.

    Args:
        seen: columns `round`, `strategy`, `devices` and those of `runs`.
        runs: columns that tell runs apart.
    """
    keys = [*runs, "round"]
    wide = seen.pivot_table(
        index=keys, columns="strategy", values="devices", aggfunc="sum", fill_value=0
    )
    wide = wide.div(wide.sum(axis=1), axis=0)
    names = sorted(wide.columns, key=lambda name: (name != "honest", name))
    table = wide.reset_index().melt(keys, names, "strategy", "share")
    return table.assign(strategy=pd.Categorical(table["strategy"], names, ordered=True))


def draw(table: pd.DataFrame, axes: Axes) -> None:
    """Draw a line per strategy."""
    lines = {}
    for name in list(table["strategy"].cat.categories)[:MOST]:
        part = table[table["strategy"] == name]
        lines[name] = (part["round"].astype(int), part["share"])
    label_curves(axes, lines)
    rounds_axis(axes, int(table["round"].max()))
    axes.set(xlabel="round", ylabel="share of strategic devices", ylim=(-0.02, 1.02))


FIGURE = Figure(
    name="strategies",
    title="Strategies per round",
    caption="Share of the devices that choose their behaviour which play each strategy.",
    needs={"participants": ("round", "device", "group", "strategy")},
    data=data,
    draw=draw,
    order=35,
)
