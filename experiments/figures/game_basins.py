"""From which share of random starts the dynamics of a game ends in each equilibrium."""

from __future__ import annotations

import textwrap
from statistics import NormalDist

import numpy as np
import pandas as pd

from experiments.figures.base import LINE, GameFigure, Look, Sheet, blank
from experiments.games.game import Game, Mix
from experiments.games.solution import Solution

MOST = 12
"""Most equilibria that are drawn."""
LEFT = 0.005
"""Shares below this are left out of the name of a mix."""
NOWHERE = "none in time"


def data(solution: Solution) -> pd.DataFrame:
    """Return the share of starts that end in each equilibrium, with Wilson's 95 % interval."""
    starts = solution.settings.starts
    names = [mix_in_words(solution.game, e.mix) for e in solution.found]
    shares = [*solution.basins]
    rest = 1 - sum(shares)
    if rest > 0.5 / starts:
        names.append(NOWHERE)
        shares.append(rest)
    ends = [_wilson(share, starts) for share in shares]
    table = pd.DataFrame({"equilibrium": names, "share": shares})
    table[["low", "high"]] = np.array(ends).reshape(-1, 2)
    table = table.sort_values("share", ascending=False, kind="stable", ignore_index=True)
    table.attrs["notes"] = [f"Intervals (95 %, Wilson) are of the {starts} random starts alone."]
    return table


def mix_in_words(game: Game, mix: Mix) -> str:
    """Return a mix as text: "honest 67 %, lazy 33 %"; of several roles one after the other."""
    texts = []
    for role, part in zip(game.roles, game.parts, strict=True):
        named = [*zip(role.strategies, mix[part].tolist(), strict=True)]
        played = [(name, share) for name, share in named if share >= LEFT]
        text = ", ".join(f"{name} {100 * share:.3g} %" for name, share in played)
        if len(played) == 1:
            text = played[0][0]
        texts.append(text if len(game.roles) == 1 else f"{role.name}: {text}")
    return "; ".join(texts)


def unbroken(text: str) -> str:
    """Return a text in which no line ends between a number and its per cent sign."""
    return text.replace(" %", "\u00a0%")


def _wilson(share: float, starts: int) -> tuple[float, float]:
    """Return the interval of a share of independent trials (Wilson 1927)."""
    z = NormalDist().inv_cdf(0.975)
    middle = (share + z**2 / (2 * starts)) / (1 + z**2 / starts)
    inside = share * (1 - share) / starts + z**2 / (4 * starts**2)
    half = z * inside**0.5 / (1 + z**2 / starts)
    return max(0.0, min(share, middle - half)), min(1.0, max(share, middle + half))


def draw(table: pd.DataFrame, look: Look) -> Sheet:
    """Draw a bar for each equilibrium."""
    notes = []
    if len(table) > MOST:
        notes.append(f"The {MOST} largest of {len(table)} are drawn; the CSV has all.")
    shown = table.head(MOST).iloc[::-1]
    letters = 18 if look.narrow else 30
    names = [_wrapped(name, letters) for name in shown["equilibrium"]]
    lines = sum(name.count("\n") + 1 for name in names)
    sheet = blank(look.inches(4.4), 0.6 + 0.13 * lines + 0.15 * len(shown))
    axes = sheet.subplots()
    places = np.arange(len(shown))
    axes.barh(places, 100 * shown["share"], 0.55, color="#44AA99")
    axes.hlines(places, 100 * shown["low"], 100 * shown["high"], color=LINE, linewidth=1.2)
    axes.set_yticks(places, names)
    axes.grid(visible=False, axis="y")
    axes.set(xlim=(0, 102), xlabel="share of random starts, %", ylim=(-0.6, len(shown) - 0.4))
    return Sheet(sheet, notes)


def _wrapped(name: str, letters: int) -> str:
    """Return the name of a mix in at most three lines."""
    lines = textwrap.wrap(unbroken(name), letters)
    return "\n".join(lines if len(lines) <= 3 else [*lines[:2], f"{lines[2][: letters - 1]}…"])


FIGURE = GameFigure(
    name="basins",
    title="Where random starts end",
    caption="Share of random mixes from which the replicator dynamics ends in each equilibrium.",
    data=data,
    draw=draw,
    order=40,
)
