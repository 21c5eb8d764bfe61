"""Fairness of incomes against Shapley values, played off-policy on the tapes of a sweep."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pandas as pd

from experiments.results import Results
from experiments.runresult import RunResult
from experiments.scorecard.card import plan_of
from experiments.scorecard.levels import check_levels
from experiments.scorecard.measures import fairness
from experiments.scorecard.settings import ScorecardSettings, read_settings
from experiments.sweeps.manifest import RUNS

COLUMNS = ["fairness_l1", "fairness_rank", "fairness_under"]


def against_shapley(results: Results, settings: ScorecardSettings | None = None) -> pd.DataFrame:
    """Return fairness per mechanism, adversary and environment, as means over runs.

    Honest devices' incomes are compared with what the rule `shapley` would have paid for the same
    blocks; see `measures.fairness` for the columns. Empty when no run has recorded a tape of
    updates (`record.tape = true`).
    """
    s = settings or read_settings(results.spec.get("scorecard", {}), str(results.folder))
    environment = check_levels(s, str(results.folder), results.factors, plan_of(results))
    keys = [s.mechanism, s.adversary, *environment]
    rows = list(_fairness_of_runs(results, keys))
    if not rows:
        return pd.DataFrame(columns=[*keys, *COLUMNS])
    return pd.DataFrame(rows).groupby(keys, sort=False, as_index=False).mean(numeric_only=True)


def _fairness_of_runs(results: Results, keys: list[str]) -> Iterator[dict[str, Any]]:
    """Yield the measures of each finished run whose tape and directory are there."""
    if not results.has({"tape": ["updates", "start"]}):
        return
    scenarios = results.scenarios()
    runs = results.runs()
    for row in runs[runs["status"] == "done"].to_dict("records"):
        if not scenarios[row["cell"]].get("record", {}).get("tape"):
            continue
        # A directory may have been removed after compacting.
        if not (results.folder / RUNS / row["run_id"]).is_dir():
            continue
        measured = fairness_of_run(results.run(row["run_id"]))
        if measured:
            levels = {key: row[key] for key in keys}
            yield levels | {f"fairness_{name}": value for name, value in measured.items()}


def fairness_of_run(run: RunResult) -> dict[str, float]:
    """Return `measures.fairness` of a run; nothing when `shapley` cannot be played on its tape."""
    from experiments.offpolicy import compare_payouts

    table = compare_payouts(run, ["shapley"])
    if table["error"].notna().any():
        return {}
    honest = table[~table["adversary"].astype(bool)]
    deserved = honest.set_index("device")["income"].astype(float)
    paid = run.participants.groupby("device")["income"].sum().astype(float)
    return fairness(paid.reindex(deserved.index), deserved)
