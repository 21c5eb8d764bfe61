"""What learners did in a game, beside its solution: where they end and how far that is from it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from experiments.games.game import Game, GameError, Mix
from experiments.intervals import band
from fedstake.outside import shown

LAST = 0.25
"""Share of the rounds, the last ones, over which the mix that learners come to is a mean."""
COLUMNS = ["seed", "round", "strategy", "share"]


@dataclass(frozen=True)
class Learned:
    """What learners did, and how far from the solution they ended.

    Args:
        shares: a row for each seed, round and strategy: the share of the learners that play it.
        mix: mean over the last quarter of the rounds and all seeds, `float64[S]`.
        regret: what a player would gain at most by another strategy against that mix, in payoffs.
        distance: to the nearest equilibrium, half the sum of absolute differences, 0 to 1; NaN
            where none was found.
        nearest: number of that equilibrium; -1 where none was found.
    """

    shares: pd.DataFrame
    mix: Mix
    regret: float
    distance: float
    nearest: int

    def over_rounds(self) -> pd.DataFrame:
        """Return a row for each round and strategy: mean share over seeds with its band."""
        rows = []
        for (at, strategy), part in self.shares.groupby(["round", "strategy"], sort=False):
            values = part["share"].to_numpy(np.float64)
            rows.append((at, strategy, float(values.mean()), *band(values)))
        return pd.DataFrame(rows, columns=["round", "strategy", "share", "share_low", "share_high"])


def learned(shares: pd.DataFrame, game: Game, mixes: Sequence[Mix]) -> Learned:
    """Return how far the mix that learners came to is from the equilibria `mixes` of the game."""
    last = shares["round"].max()
    late = shares[shares["round"] > last - max(1, round(LAST * last))]
    means = late.groupby("strategy")["share"].mean()
    mix = np.array([float(means[name]) for name in game.names])
    apart = [float(np.abs(known - mix).sum()) / 2 for known in mixes]
    nearest = int(np.argmin(apart)) if apart else -1
    regret = max(0.0, float(np.nanmax(game.gains(mix))))
    return Learned(shares, mix, regret, apart[nearest] if apart else float("nan"), nearest)


def read_shares(file: Path, game: Game) -> pd.DataFrame:
    """Return recorded shares; the file may come from anybody.

    Raises `GameError`, which names the file and what would be right.
    """
    try:
        shares = pd.read_csv(file, dtype={"seed": int, "round": int, "strategy": str})
    except (ValueError, OSError) as error:
        raise GameError(f"{shown(file)}: {str(error).splitlines()[0]}") from None
    if [*shares.columns] != COLUMNS or shares.empty:
        raise GameError(f"{shown(file)}: must have the columns {', '.join(COLUMNS)}, and rows")
    if {*shares["strategy"]} != {*game.names}:
        raise GameError(f"{shown(file)}: strategy: must be {', '.join(game.names)}, each")
    if not pd.to_numeric(shares["share"], errors="coerce").between(0, 1).all():
        raise GameError(f"{shown(file)}: share: must be a number from 0 to 1")
    return shares
