"""What two strategies are paid, by how many players play the first of them."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.ticker import FuncFormatter, MaxNLocator
from scipy.special import stdtrit

from experiments.figures.base import (
    MARKERS,
    WHO,
    GameFigure,
    Look,
    Sheet,
    blank,
    level_style,
    thousands,
)
from experiments.figures.panels import words
from experiments.games.solution import Solution
from experiments.labels import shorten

LETTERS = 22


def data(solution: Solution) -> pd.DataFrame:
    """Return the payoff of each strategy by the number of players of the first one.

    With Student's 95 % interval of the mean over seeds where there are two or more. Empty unless
    the game has one role with two strategies.
    """
    game, table = solution.game, solution.table
    if len(game.roles) > 1 or game.size != 2:
        return pd.DataFrame()
    rows = []
    for row, (counts, seeds) in enumerate(zip(game.profiles, table.seeds.tolist(), strict=True)):
        quantile = float(stdtrit(seeds - 1, 0.975)) if seeds > 1 else float("nan")
        for at, name in enumerate(game.names):
            if counts[at]:
                mean = float(game.payoffs[row, at])
                half = quantile * float(table.errors[row, at])
                rows.append((name, int(counts[0]), mean, mean - half, mean + half, seeds))
    columns = ["strategy", "players", "payoff", "low", "high", "seeds"]
    found = pd.DataFrame(rows, columns=columns).sort_values(["strategy", "players"])
    found["strategy"] = pd.Categorical(found["strategy"], list(game.names), ordered=True)
    found = found.sort_values(["strategy", "players"], ignore_index=True)
    found.attrs["notes"] = []
    if found["low"].notna().any():
        found.attrs["notes"] = ["Bands: 95 %, Student's t over the seeds of each profile."]
    return found


def draw(table: pd.DataFrame, look: Look) -> Sheet:
    """Draw a line with its band for each strategy."""
    sheet = blank(look.inches(4.4), 2.7)
    axes = sheet.subplots()
    names = list(table["strategy"].cat.categories)
    styles, colors = [], {}
    for i, name in enumerate(names):
        part = table[table["strategy"] == name]
        style = {**level_style(i), "marker": MARKERS[i], "markersize": 3.5}
        style["color"] = WHO.get(name, style["color"])
        every = max(1, len(part) // 10)
        axes.plot(part["players"], part["payoff"], **style, markevery=every)
        axes.fill_between(
            part["players"],
            part["low"],
            part["high"],
            color=style["color"],
            alpha=0.15,
            linewidth=0,
        )
        styles.append(style)
        colors[name] = str(style["color"])
    players = int(table["players"].max())
    axes.set(
        xlim=(-0.02 * players, 1.02 * players),
        xlabel=f"players of {players} that play {shorten(names[0], LETTERS)}",
        ylabel="payoff of a player",
    )
    axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    if np.abs(axes.get_ylim()).max() >= 1_000:
        axes.yaxis.set_major_formatter(FuncFormatter(thousands))
    words(sheet, colors, styles)
    return Sheet(sheet)


FIGURE = GameFigure(
    name="payoffs-by-count",
    title="What two strategies are paid",
    caption="Payoff of a player of each strategy; who changes moves the number of players by one.",
    data=data,
    draw=draw,
    order=30,
)
