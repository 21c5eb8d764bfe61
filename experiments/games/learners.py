"""Runs in which devices choose among a game's strategies while they play.

The solution says where the game ends if players answer the payoffs of whole runs. Learners answer
what they see round by round; whether they come to the same mix is measured by `learning`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from experiments.games.estimate import Estimate
from experiments.games.learning import COLUMNS
from experiments.loader import ScenarioError
from experiments.results import Results
from experiments.sweeps.drive import Sweep
from experiments.sweeps.plan import spec_of
from experiments.trials import Play, check_played
from sim.keys import chosen_fields, table_at
from sim.settings import HONEST

GROUP = "learners"
SHARES = """
    select p.seed, w.round, w.strategy, count(*)::double as players
    from participants w join p using (run_id) where w."group" = 'learners'
    group by all order by all
"""


def learning_sweep(estimate: Estimate) -> Sweep:
    """Return the runs in which all players of a simulated game learn; nothing is played.

    They lie in the game's folder. Raises `ScenarioError` for strategies that learners of this
    protocol cannot choose among.
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
    return Sweep(spec_of(values, spec.name), estimate.folder / "learning")


def play_learners(estimate: Estimate, play: Play) -> pd.DataFrame:
    """Let all players of a simulated game learn; return the shares of their strategies.

    What is there is not played again. Raises as `learning_sweep`, and for a run that failed.
    """
    sweep = learning_sweep(estimate)
    play(sweep)
    results = Results.open(sweep.folder)
    check_played(results, "learner", estimate.spec.name)
    return _shares(results, _behaviours(estimate))


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
