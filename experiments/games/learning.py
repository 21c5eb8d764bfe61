"""Learners beside the solution: devices that choose among a game's strategies while they play.

The solution says where the game ends if players answer the payoffs of whole runs. Learners answer
what they see round by round; whether they come to the same mix is measured here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from experiments.games.game import GameError
from experiments.intervals import band
from experiments.loader import ScenarioError
from experiments.results import Results
from experiments.sweeps.drive import Sweep
from experiments.sweeps.plan import plan, spec_of
from experiments.trials import Play, check_played
from fedstake.outside import shown
from sim.keys import chosen_fields, table_at
from sim.settings import HONEST

if TYPE_CHECKING:
    from experiments.games.estimate import Estimate
    from experiments.games.game import Game, Mix
    from experiments.games.solution import Solution

GROUP = "learners"
LAST = 0.25
"""Share of the rounds, the last ones, over which the mix that learners come to is a mean."""
COLUMNS = ["seed", "round", "strategy", "share"]
SHARES = """
    select p.seed, w.round, w.strategy, count(*)::double as players
    from participants w join p using (run_id) where w."group" = 'learners'
    group by all order by all
"""


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


def play_learners(estimate: Estimate, play: Play) -> pd.DataFrame:
    """Let all players of a simulated game learn; return the shares of their strategies.

    The runs lie in the game's folder; what is there is not played again. Raises `ScenarioError` for
    strategies that learners of this protocol cannot choose among.
    """
    spec, simulated = estimate.spec, estimate.simulated
    asked = simulated.learning
    assert asked is not None
    named = _behaviours(estimate)
    group = {
        "name": GROUP,
        "count": estimate.role.players,
        "strategies": list(named.values()),
        "learner": asked.learner,
        "learner_params": asked.params,
    }
    values = {
        "name": f"{spec.name}-learning",
        "scenario": simulated.scenario,
        "set": {
            **simulated.set,
            "rounds": asked.rounds,
            "adversaries": [*estimate.groups, group],
        },
        "seeds": list(range(asked.seeds)),
        "design": [{"factors": {"learner": {asked.learner: {}}}}],
    }
    made = spec_of(values, spec.name)
    plan(made)  # a wrong strategy is told before anything is played
    place = estimate.folder / "learning"
    play(Sweep(made, place))
    results = Results.open(place)
    check_played(results, "learner", spec.name)
    return _shares(results, named)


def _behaviours(estimate: Estimate) -> dict[str, dict[str, Any]]:
    """Return by strategy the table that a learner may choose; the empty one is honest."""
    name, strategies = estimate.spec.name, estimate.simulated.strategies
    table = table_at(type(estimate.base), ["adversaries", 0, "strategies", 0])
    if table is None:
        expected = "left out: nobody learns in this protocol"
        raise ScenarioError(name, "simulated.learning", estimate.base.protocol, expected)
    role = next(iter(chosen_fields(table)))
    found, seen = {}, dict[str, str]()
    for strategy, keys in strategies.items():
        known = dict(keys) or {role: HONEST}
        behaviour = str(known.get(role, HONEST))
        key = f"simulated.strategies.{strategy}"
        strange = [k for k in known if k not in table.model_fields]
        if strange:
            expected = f"only {', '.join(table.model_fields)}, where devices learn"
            raise ScenarioError(name, f"{key}.{strange[0]}", known[strange[0]], expected)
        if behaviour in seen:
            expected = f"another behaviour than {seen[behaviour]}: tables tell them by its name"
            raise ScenarioError(name, f"{key}.{role}", behaviour, expected)
        seen[behaviour] = strategy
        found[strategy] = {role: behaviour, **known}
    return found


def _shares(results: Results, named: Mapping[str, Mapping[str, Any]]) -> pd.DataFrame:
    """Return the share of each strategy in each round of each seed."""
    called = {str(next(iter(keys.values()))): strategy for strategy, keys in named.items()}
    counts = results.sql(SHARES, ["participants"])
    counts["strategy"] = counts["strategy"].map(called)
    wide = counts.pivot_table("players", ["seed", "round"], "strategy", fill_value=0.0)
    wide = wide.reindex(columns=[*named], fill_value=0.0)
    shares = wide.div(wide.sum(axis=1), axis=0)
    long = shares.reset_index().melt(["seed", "round"], [*named], "strategy", "share")
    return long.sort_values(["seed", "round"], kind="stable", ignore_index=True)[COLUMNS]


def learned(shares: pd.DataFrame, solution: Solution) -> Learned:
    """Return how far the mix that learners came to is from the solution of the game."""
    game: Game = solution.game
    last = shares["round"].max()
    late = shares[shares["round"] > last - max(1, round(LAST * last))]
    means = late.groupby("strategy")["share"].mean()
    mix = np.array([float(means[name]) for name in game.names])
    apart = [float(np.abs(e.mix - mix).sum()) / 2 for e in solution.found]
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
