"""Shares of strategies over the rounds of runs in which all players learn."""

from __future__ import annotations

import pandas as pd

from experiments.figures.base import WHO, GameFigure, Look, Sheet, blank, level_style
from experiments.figures.panels import words
from experiments.games.solution import Solution
from experiments.intervals import bands_in_words

LINES = 8


def data(solution: Solution) -> pd.DataFrame:
    """Return a row for each round and strategy; empty where nobody learned.

    `nearest` is the share of the strategy in the equilibrium nearest to where learners end.
    """
    seen = solution.learned
    if seen is None:
        return pd.DataFrame()
    table = seen.over_rounds()
    if seen.nearest >= 0:
        mix = solution.found[seen.nearest].mix.tolist()
        table["nearest"] = table["strategy"].map(dict(zip(solution.game.names, mix, strict=True)))
    seeds = seen.shares["seed"].nunique()
    table.attrs["notes"] = [bands_in_words([seeds])]
    return table


def draw(table: pd.DataFrame, look: Look) -> Sheet:
    """Draw a line with a band for each strategy, and dashes where the equilibrium has it."""
    notes = [*table.attrs.get("notes", [])]
    sheet = blank(look.inches(4.4), 2.6)
    axes = sheet.subplots()
    names = [*dict.fromkeys(table["strategy"])]
    if len(names) > LINES:
        most = table.groupby("strategy")["share"].max().sort_values(ascending=False, kind="stable")
        names = [name for name in names if name in set(most.index[:LINES])]
        notes.append(f"{LINES} strategies are drawn; the CSV has all.")
    colors: dict[str, str] = {}
    for i, name in enumerate(names):
        part = table[table["strategy"] == name]
        color = WHO.get(name, level_style(i)["color"])
        colors[str(name)] = color
        axes.plot(part["round"], part["share"], color=color, linewidth=1.3)
        ends = (part["share_low"].clip(0, 1), part["share_high"].clip(0, 1))
        axes.fill_between(part["round"], *ends, color=color, alpha=0.18, linewidth=0)
        if "nearest" in part:
            axes.axhline(part["nearest"].iloc[0], color=color, linewidth=0.9, linestyle="--")
    axes.set(xlabel="round", ylabel="share of players", ylim=(-0.03, 1.03))
    words(sheet, colors)
    return Sheet(sheet, notes)


FIGURE = GameFigure(
    name="learning",
    title="Where learners end",
    caption="Shares of the strategies in runs in which all players learn, means over seeds. "
    "Dashed: the equilibrium that is nearest to where they end.",
    data=data,
    draw=draw,
    order=55,
)
