"""What each strategy gains against the honest profile of a game, with intervals."""

from __future__ import annotations

import numpy as np
import pandas as pd

from experiments.figures.base import LINE, GameFigure, Look, Sheet, blank
from experiments.figures.panels import words
from experiments.games.solution import Solution
from experiments.labels import shorten

MOST = 24
"""Most strategies that are drawn."""
LETTERS = 24
COLORS = {"gains": "#882255", "open": "#8A8A8A", "does not gain": "#44AA99"}
"""By what is known of a strategy."""


def data(solution: Solution) -> pd.DataFrame:
    """Return the gain of each strategy but the honest ones, most first.

    `verdict` says how sure it is: a strategy gains if its whole interval lies above the tolerance,
    and does not if none of it does. Empty without an honest profile.
    """
    table = solution.gains_frame()
    table = table[~table["strategy"].isin(solution.settings.honest)]
    most = solution.settings.tolerance * solution.game.spread
    low, high = (table[end].fillna(table["gain"]) for end in ("low", "high"))
    verdict = np.select([low > most, high <= most], ["gains", "does not gain"], "open")
    table = table.assign(verdict=verdict)
    if table["low"].notna().any():
        level = 100 * solution.settings.level
        table.attrs["notes"] = [f"Intervals hold for all strategies together at {level:.4g} %."]
    return table


def draw(table: pd.DataFrame, look: Look) -> Sheet:
    """Draw a bar for each strategy and the line of no gain."""
    notes = []
    if len(table) > MOST:
        notes.append(f"The {MOST} of {len(table)} strategies that gain most; the CSV has all.")
    shown = table.head(MOST).iloc[::-1]
    sheet = blank(look.inches(4.4), 0.95 + 0.24 * len(shown))
    axes = sheet.subplots()
    places = np.arange(len(shown))
    axes.barh(places, shown["gain"], 0.62, color=[COLORS[v] for v in shown["verdict"]])
    axes.hlines(places, shown["low"], shown["high"], color=LINE, linewidth=1.2)
    for end in ("low", "high"):
        axes.plot(shown[end], places, "|", color=LINE, markersize=5)
    axes.axvline(0, color=LINE, linewidth=0.8)
    letters = LETTERS * 2 // 3 if look.narrow else LETTERS
    axes.set_yticks(places, [shorten(name, letters) for name in shown["strategy"]])
    axes.margins(x=0.06)
    axes.grid(visible=False, axis="y")
    axes.set(xlabel="gain in payoff", ylim=(-0.6, len(shown) - 0.4))
    present = [verdict for verdict in COLORS if verdict in set(shown["verdict"])]
    words(sheet, {verdict: COLORS[verdict] for verdict in present})
    return Sheet(sheet, notes)


FIGURE = GameFigure(
    name="deviations",
    title="What leaving the honest profile gains",
    caption="Payoff of one player that plays another strategy while all others are honest, less "
    "the payoff of honesty.",
    data=data,
    draw=draw,
    order=10,
)
