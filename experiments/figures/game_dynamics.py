"""Shares of the strategies of a game over time, from a few starts."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from experiments.figures.base import (
    BESIDE_AXIS,
    MARKERS,
    WHO,
    GameFigure,
    Look,
    Sheet,
    level_style,
)
from experiments.figures.panels import multiples, words
from experiments.games.dynamics import path
from experiments.games.game import Game, Mix
from experiments.games.solution import Solution
from experiments.labels import shorten

TIME, POINTS, STEPS = 40.0, 81, 3
"""How long the dynamics is followed, at how many points, by how many steps between them."""
STARTS, LINES = 4, 8
"""Most starts, and most strategies that are drawn."""
MOSTLY = 0.9
"""Share of the strategy that a start is named after."""
LETTERS = 20


def data(solution: Solution) -> pd.DataFrame:
    """Return the share of each strategy over time, a row for each start, time and strategy."""
    game = solution.game
    times = np.linspace(0, TIME, POINTS)
    parts = []
    starts = _starts(solution)
    for name, start in starts.items():
        followed = path(game, start, time=TIME, points=POINTS, inner=STEPS)
        wide = pd.DataFrame(followed, columns=list(game.names)).assign(time=times, start=name)
        parts.append(wide.melt(["start", "time"], list(game.names), "strategy", "share"))
    table = pd.concat(parts, ignore_index=True)
    for column, levels in (("start", [*starts]), ("strategy", list(game.names))):
        table[column] = pd.Categorical(table[column], levels, ordered=True)
    return table


def _starts(solution: Solution) -> dict[str, Mix]:
    """Return an even start, one near honesty, and one near each of the first strategies."""
    game = solution.game
    found = {"all strategies alike": game.uniform()}
    if solution.honest is not None:
        found["mostly honest"] = _mostly(game, solution.honest)
    if len(game.roles) == 1:
        for at, name in enumerate(game.names):
            if name not in solution.settings.honest:
                found[f"mostly {shorten(name, LETTERS)}"] = _mostly(game, np.eye(game.size)[at])
    rng = np.random.default_rng(2)
    while len(found) < STARTS and len(game.roles) > 1:
        mixes = [rng.dirichlet(np.ones(len(role.strategies))) for role in game.roles]
        found[f"random start {len(found)}"] = np.concatenate(mixes)
    return dict([*found.items()][:STARTS])


def _mostly(game: Game, pure: Mix) -> Mix:
    """Return a mix of mostly one strategy in each role, and the others evenly."""
    alone = np.array([len(role.strategies) == 1 for role in game.roles])[game.role_of]
    others = game.uniform() * (1 - pure)
    for part in game.parts:
        others[part] /= max(float(others[part].sum()), 1e-300)
    return np.where(alone, 1.0, MOSTLY * pure + (1 - MOSTLY) * others)


def draw(table: pd.DataFrame, look: Look) -> Sheet:
    """Draw a panel for each start with a line for each strategy."""
    notes: list[str] = []
    levels = look.levels(table["strategy"])
    if len(levels) > LINES:
        # Those that are ever played most.
        most = table.groupby("strategy", observed=True)["share"].max()
        kept = set(most.sort_values(ascending=False, kind="stable").index[:LINES])
        notes.append(f"{LINES} of the {len(levels)} strategies are drawn; the CSV has all.")
        levels = [level for level in levels if level in kept]
    sheet, panels = multiples(table, ["start"], look, notes, height=1.45)
    styles = [_style(i, str(level)) for i, level in enumerate(levels)]
    for panel in panels:
        for i, (level, style) in enumerate(zip(levels, styles, strict=True)):
            part = panel.part[panel.part["strategy"] == level]
            step = max(1, len(part) // 5)
            marked = (i * step // len(levels), step)
            panel.axes.plot(part["time"], part["share"], **style, markevery=marked)
        panel.axes.set(xlim=(-BESIDE_AXIS * TIME, (1 + BESIDE_AXIS) * TIME), ylim=(-0.03, 1.03))
    sheet.supxlabel("time, in 1 / spread of payoffs", fontsize="medium")
    sheet.supylabel("share of players", fontsize="medium")
    colors = {level: str(styles[i]["color"]) for i, level in enumerate(levels)}
    words(sheet, colors, styles)
    return Sheet(sheet, notes)


def _style(place: int, name: str) -> dict[str, Any]:
    """Return how the line of a strategy is drawn; honesty is blue in all figures."""
    style = {**level_style(place), "marker": MARKERS[place], "markersize": 3.5}
    return {**style, "color": WHO.get(name, style["color"])}


FIGURE = GameFigure(
    name="dynamics",
    title="Strategies over time",
    caption="Replicator dynamics from a few starts: shares of the players of a role.",
    data=data,
    draw=draw,
    order=50,
)
