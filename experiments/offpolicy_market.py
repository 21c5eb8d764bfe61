"""Off-policy comparison of market rules: the same acts under every rule."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pandas as pd
import pyarrow.parquet as pq

from experiments.offpolicy import COLUMNS
from experiments.rundir import RunError
from experiments.runresult import RunResult
from fedstake.outside import shown
from mechanisms import registries as rules_of
from mechanisms.failures import described
from mechanisms.registry import reading
from mechanisms.vocabulary import TOKEN
from sim.data.folder import data_folder, given_data, load_dataset
from sim.data.sources.base import DataError
from sim.protocols.market.recorded import read_acts
from sim.scenario import Scenario
from sim.world import World


@given_data
def compare_markets(
    run: RunResult,
    rules: Iterable[str] | Mapping[str, Mapping[str, Any]] | None = None,
    *,
    trust: bool = False,
    data: str | Path | None = None,
) -> pd.DataFrame:
    """Return what contributors would have earned with the acts of a run under each market rule.

    Off-policy: who offers which datum when, and how much at most, is as recorded
    (`record.trace = true`); what is accepted, what the model learns and what is claimed follow from
    the rule. Had it been in force, contributors might have acted otherwise.

    Returns a row per rule and device: `mechanism`, `device`, `group`, `adversary`, `income` (base
    units, what it holds at the end less what it held at the start), `cpu_s` and `error`. A rule
    under which the acts cannot be played has one row, with its error. Raises `RunError` for a run
    without a trace.

    Args:
        run: a recorded run of a market.
        rules: names of market rules, or their parameters by name. Default: all that are shipped.
            The run's own rule keeps the parameters of the run where none are given.
        trust: import plug-in files that the run names.
        data: folder of data files.
    """
    if not run.has({"trace": ("time_s", "device", "action")}):
        raise RunError(
            f"{run.path}: this run has no trace; record one with --set record.trace=true"
        )
    market = run.settings["market"]
    own = {market["rule"]: market["params"]}
    names = rules_of.markets.names() if rules is None else list(rules)
    given = rules if isinstance(rules, Mapping) else {}
    with reading(trust=trust, own=names), TemporaryDirectory() as folder:
        acts = Path(folder) / "acts.parquet"
        pq.write_table(run.arrow("trace"), acts)
        _check_playable(run, acts)
        parts = []
        for name in names:
            params = dict(given.get(name, own.get(name, {})))
            parts.append(_played(run, name, params, acts))
    table = pd.concat(parts, ignore_index=True)
    return table.astype({"device": "Int64", "adversary": "boolean", "income": "Int64"})


def _check_playable(run: RunResult, acts: Path) -> None:
    """Raise `RunError` for acts and data that no rule could be played on: the run is to blame."""
    scenario: Any = run.scenario
    chosen, folder = scenario.data, data_folder()
    try:
        samples = load_dataset(chosen.dataset, chosen.params, folder)
        rows = len(samples.x_train)
        read_acts(
            str(acts),
            folder,
            names=(),
            devices=scenario.devices,
            rows=min(rows, chosen.n or rows),
            classes=samples.classes,
            token=TOKEN,
        )
    except DataError as error:
        reason = str(error).replace(str(acts), "table trace")
        raise RunError(f"{shown(run.path)}: {reason}") from error


def _played(run: RunResult, rule: str, params: dict[str, Any], acts: Path) -> pd.DataFrame:
    """Return the rows of one rule."""
    began = time.process_time()
    try:
        balances = _balances(_scenario(run, rule, params, acts))
    except Exception as error:  # a rule may raise anything; the others go on
        spent = time.process_time() - began
        failed = (rule, None, None, None, None, spent, described(error))
        return pd.DataFrame([failed], columns=list(COLUMNS))
    start = balances[balances["moment"] == "start"].set_index("device")
    end = balances[balances["moment"] == "end"].set_index("device")
    found = start[["group", "adversary"]].reset_index()
    found["income"] = (end["balance"] - start["balance"]).loc[found["device"]].to_numpy()
    spent = time.process_time() - began
    return found.assign(mechanism=rule, cpu_s=spent, error=None)[list(COLUMNS)]


def _scenario(run: RunResult, rule: str, params: dict[str, Any], acts: Path) -> Scenario:
    """Return the scenario of a run in which its acts are played under another rule.

    It has the rounds that were recorded, whatever the scenario of a stranger's run says.
    """
    return run.scenario.replace(
        **{
            "rounds": max(1, run.arrow("rounds", ["round"]).num_rows),
            "market.rule": rule,
            "market.params": params,
            "market.replay_of": str(acts),
            "market.names": [],
            "record.trace": False,
        }
    )


def _balances(scenario: Scenario) -> pd.DataFrame:
    world = World(scenario)
    try:
        for _ in world.run():
            pass
        return world.kernel.recorder.table("balances").to_pandas()
    finally:
        world.close()
