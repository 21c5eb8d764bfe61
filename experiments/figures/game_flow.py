"""Where the replicator dynamics of a game goes: a line, a triangle or a square of all mixes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from numpy.typing import NDArray

from experiments.figures.base import (
    LEVELS,
    LINE,
    NEUTRAL,
    GameFigure,
    Look,
    Sheet,
    blank,
)
from experiments.figures.panels import words
from experiments.games.dynamics import stability, velocity
from experiments.games.game import Game, Mix
from experiments.games.solution import Solution
from experiments.labels import shorten

SHARE, VELOCITY = "share:", "velocity:"
STEPS = {2: 100, 3: 12, 4: 10}
"""Steps of the grid along an axis, by the number of strategies of all roles."""
LETTERS = 22
FILLS = {"stable": LINE, "neutral": "#B4B4B4", "unstable": "white"}
"""What the mark of an equilibrium is filled with."""


def data(solution: Solution) -> pd.DataFrame:
    """Return the velocity of each share at mixes of a grid, and the equilibria.

    For one role with two or three strategies, and two roles with two each; empty for others.
    `kind`: flow, or whether an equilibrium is stable. Velocities are shares per time, in units of
    one over the spread of payoffs; `difference`: payoff of the first strategy less the second, of
    two.
    """
    game = solution.game
    sizes = [len(role.strategies) for role in game.roles]
    if sizes not in ([2], [3], [2, 2]):
        return pd.DataFrame()
    rows = [_row(game, "flow", mix) for mix in _grid(game)]
    rows += [_row(game, stability(game, e.mix), e.mix) for e in solution.found]
    return pd.DataFrame(rows)


def _row(game: Game, kind: str, mix: Mix) -> dict[str, str | float]:
    row: dict[str, str | float] = {"kind": kind}
    row |= {SHARE + name: float(p) for name, p in zip(game.names, mix, strict=True)}
    moved = velocity(game, mix) / game.spread
    row |= {VELOCITY + name: float(v) for name, v in zip(game.names, moved, strict=True)}
    if game.size == 2:
        first, second = game.deviation(mix)
        row["difference"] = float(first - second)
    return row


def _grid(game: Game) -> list[Mix]:
    """Return evenly spread mixes, the edges among them."""
    steps = STEPS[game.size]
    at = np.linspace(0, 1, steps + 1)
    if game.size == 2:
        return [np.array([x, 1 - x]) for x in at]
    if game.size == 4:
        return [np.array([x, 1 - x, y, 1 - y]) for x in at for y in at]
    whole = range(steps + 1)
    thirds = [(i, j, steps - i - j) for i in whole for j in whole if i + j <= steps]
    return [np.array(third) / steps for third in thirds]


def draw(table: pd.DataFrame, look: Look) -> Sheet:
    """Draw the line, the triangle or the square, and the equilibria on it."""
    names = [c.removeprefix(SHARE) for c in table.columns if c.startswith(SHARE)]
    width = look.inches(4.4)
    sheet = blank(width, 0.6 * width + 0.5 if len(names) == 2 else 0.86 * width + 0.35)
    axes = sheet.subplots()
    flow = table[table["kind"] == "flow"]
    places = {2: _line, 3: _triangle, 4: _square}[len(names)]
    at = places(axes, flow, table, [shorten(name, LETTERS) for name in names])
    kinds = [kind for kind in FILLS if kind in set(table["kind"])]
    for kind in kinds:
        where = at[(table["kind"] == kind).to_numpy()]
        axes.scatter(
            where[:, 0],
            where[:, 1],
            s=42,
            color=FILLS[kind],
            edgecolors="black",
            zorder=5,
            clip_on=False,
        )
    marks = [
        {"marker": "o", "markerfacecolor": FILLS[kind], "color": "black", "linestyle": "none"}
        for kind in kinds
    ]
    words(sheet, dict.fromkeys(kinds, LINE), marks)
    return Sheet(sheet)


def _shares(table: pd.DataFrame, kind: str) -> NDArray[np.float64]:
    """Return the columns of shares or velocities, `float64[rows, S]`."""
    return table[[c for c in table.columns if c.startswith(kind)]].to_numpy(dtype=np.float64)


def _line(
    axes: Axes, flow: pd.DataFrame, table: pd.DataFrame, names: Sequence[str]
) -> NDArray[np.float64]:
    """Draw the difference of payoffs against the share of the first strategy."""
    share = _shares(flow, SHARE)[:, 0]
    difference = flow["difference"].to_numpy()
    axes.axhline(0, color=LINE, linewidth=0.8)
    axes.plot(share, difference, color=LEVELS[0])
    # Arrows on the line of no difference: where the share goes.
    some = np.linspace(0.1, 0.9, 9)
    towards = np.sign(np.interp(some, share, difference))
    for x, sign in zip(some[towards != 0], towards[towards != 0], strict=True):
        axes.annotate(
            "",
            (x + 0.03 * sign, 0),
            (x - 0.03 * sign, 0),
            arrowprops={"arrowstyle": "-|>", "color": NEUTRAL, "mutation_scale": 9},
        )
    axes.set(
        xlim=(-0.02, 1.02),
        xlabel=f"share of {names[0]}",
        ylabel=f"payoff of {names[0]}\nless that of {names[1]}",
    )
    first = _shares(table, SHARE)[:, 0]
    return np.stack([first, np.zeros(len(first))], axis=1)


CORNERS = np.array([[0.0, 0.0], [1.0, 0.0], [0.5, 3**0.5 / 2]])
"""Of the triangle, in the order of the strategies."""


def _triangle(
    axes: Axes, flow: pd.DataFrame, table: pd.DataFrame, names: Sequence[str]
) -> NDArray[np.float64]:
    """Draw the flow in the triangle whose corners are the three strategies."""
    axes.plot(*np.concatenate([CORNERS, CORNERS[:1]]).T, color=LINE, linewidth=0.9)
    _arrows(axes, _shares(flow, SHARE) @ CORNERS, _shares(flow, VELOCITY) @ CORNERS, STEPS[3])
    aside = {"left": (-4, -6), "right": (4, -6), "center": (0, 7)}
    for corner, name, side in zip(CORNERS, names, aside, strict=True):
        axes.annotate(
            name,
            corner,
            xytext=aside[side],
            textcoords="offset points",
            ha=side,
            va="bottom" if side == "center" else "top",
            fontweight="bold",
        )
    axes.set(xlim=(-0.06, 1.06), ylim=(-0.09, 0.97), aspect="equal")
    axes.set_axis_off()
    return _shares(table, SHARE) @ CORNERS


def _square(
    axes: Axes, flow: pd.DataFrame, table: pd.DataFrame, names: Sequence[str]
) -> NDArray[np.float64]:
    """Draw the flow in the square of the shares of the first strategy of both roles."""
    _arrows(axes, _shares(flow, SHARE)[:, ::2], _shares(flow, VELOCITY)[:, ::2], STEPS[4])
    axes.set(
        xlim=(-0.04, 1.04),
        ylim=(-0.04, 1.04),
        aspect="equal",
        xlabel=f"share of {names[0]}",
        ylabel=f"share of {names[2]}",
    )
    return _shares(table, SHARE)[:, ::2]


def _arrows(axes: Axes, at: NDArray[np.float64], moves: NDArray[np.float64], steps: int) -> None:
    """Draw an arrow at each point: fast ones long, none where nothing moves."""
    speed = np.linalg.norm(moves, axis=1)
    moving = speed > 1e-9
    if not moving.any():
        return
    # The square root: slow moves have a direction that can be seen, too.
    length = np.sqrt(speed / speed.max())
    arrows = moves[moving] * (0.9 * length / np.where(moving, speed, 1))[moving, None] / steps
    axes.quiver(
        *at[moving].T,
        *arrows.T,
        color=NEUTRAL,
        angles="xy",
        scale_units="xy",
        scale=1,
        pivot="mid",
        width=0.0045,
        headwidth=4.5,
        headlength=4.5,
        headaxislength=4,
        minlength=0.5,
    )


FIGURE = GameFigure(
    name="flow",
    title="Where it goes",
    caption=(
        "Replicator dynamics: strategies that are paid more than the mean of their role spread, "
        "long arrows fast. Filled marks are stable equilibria, open ones unstable; grey ones are "
        "neutral to first order."
    ),
    data=data,
    draw=draw,
    order=20,
)
