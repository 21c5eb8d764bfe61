"""The scorecard of a sweep: one row per mechanism, adversary and environment.

Each measure is computed where the sweep records what it needs, whatever the protocol. A measure
that no run of the sweep can have is left out; one that only some runs have is NaN in other rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from experiments.intervals import interval
from experiments.results import Results
from experiments.scorecard.deviations import (
    COLUMNS,
    deviation_gains,
    deviation_gap,
    sybil_gains,
)
from experiments.scorecard.levels import check_levels
from experiments.scorecard.measures import advantage, gini, nakamoto
from experiments.scorecard.settings import ScorecardSettings

MEANS_BEFORE = (
    "reached_target",
    "rounds_to_target",
    "time_to_target_s",
    "honest_income",
    "adversary_income",
    "honest_utility",
    "adversary_utility",
)
"""Columns of `_read_runs` whose means over runs stand before the other measures of runs."""


@dataclass(frozen=True)
class Scores:
    """The scorecard of a sweep and the gains of the deviations that it was computed with."""

    table: pd.DataFrame
    """One row per mechanism, adversary and environment."""
    gains: pd.DataFrame
    """One row per mechanism, environment and deviation; columns as `deviations.COLUMNS`."""


def score(results: Results, s: ScorecardSettings, asked: Sequence[str] = ()) -> Scores:
    """Return the scorecard; `docs/reference/scorecard.md` explains its columns.

    `asked` are outcomes that shall be measured beside the usual ones. Raises `RunError` for a
    factor or level that the sweep does not have, and for an honest level at which devices deviate.
    """
    environment = check_levels(s, str(results.folder), results.factors, plan_of(results))
    runs = _read_runs(results, s)
    people = _read_people(results)
    known = set(results.runs().columns)
    more = [name for name in asked if name not in known]

    rows: list[dict[Any, Any]] = []
    gains: list[dict[Any, Any]] = []
    factors = [s.mechanism, s.adversary, *environment]
    for levels, planned in results.runs().groupby(factors, sort=False):
        cell = dict(zip(factors, levels, strict=True))
        finished = runs[runs["run_id"].isin(planned["run_id"])]
        row = cell | {"planned": len(planned), "runs": len(finished)}
        if len(finished):
            members = people[people["run_id"].isin(planned["run_id"])]
            row |= _measure_runs(finished, more, s)
            row |= _measure_people(members, s)
            if str(cell[s.adversary]) == s.honest:
                among = {key: cell[key] for key in (s.mechanism, *environment)}
                here = _select(people, among)
                tried = deviation_gains(here, s)
                row |= deviation_gap(tried, s) | sybil_gains(here, s)
                where = {_beside(factor): level for factor, level in among.items()}
                gains += [where | gain for gain in tried.to_dict("records")]
        rows.append(row)
    columns = [_beside(factor) for factor in (s.mechanism, *environment)]
    return Scores(pd.DataFrame(rows), pd.DataFrame(gains, columns=[*columns, *COLUMNS]))


def _beside(factor: str) -> str:
    """Return a factor's name in the table of gains: it steps aside for a column of its name."""
    return f"factor.{factor}" if factor in COLUMNS else factor


def plan_of(results: Results) -> pd.DataFrame:
    """Return one row per planned run: its factors and its `scenario` as plain values."""
    runs = results.runs()
    return runs.assign(scenario=runs["cell"].map(results.scenarios()))


def _select(frame: pd.DataFrame, levels: dict[str, Any]) -> pd.DataFrame:
    """Return the rows with these values of these columns."""
    for column, level in levels.items():
        frame = frame[frame[column] == level]
    return frame


# --- reading ------------------------------------------------------------------------------------


def _read_people(results: Results) -> pd.DataFrame:
    """Return one row per run and device: `utility` of the run, `held` at its end, `slashed`.

    `attacks` is whether the device belongs to an adversary. `slashed`, 1.0 for a device that lost
    a penalty, is there only where penalties are recorded.
    """
    slashed = ""
    if results.has({"participants": ["penalty"]}):
        slashed = ", (sum(penalty) > 0)::int::double as slashed"
    frame = results.sql(
        f"""
        select run_id, device, any_value(adversary) as attacks, sum(utility)::double as utility,
               arg_max(balance + locked, round)::double as held{slashed}
        from participants group by run_id, device
        """,
        tables=("participants",),
    )
    plan = results.runs()[["run_id", "seed", "cell", *results.factors]]
    # In the order of the plan: sums, and what stands first, are the same every time.
    joined = plan.merge(frame, on="run_id")
    return joined.sort_values(["cell", "seed", "device"], ignore_index=True)


def _read_runs(results: Results, s: ScorecardSettings) -> pd.DataFrame:
    """Return one row per finished run: its outcomes, and what the scorecard adds to them."""
    frame = _join(results.outcomes(), _read_payments(results))
    frame = frame.fillna({"spent": 0.0, "calls_payment": 0.0})
    if results.has({"rounds": ["accuracy"]}):
        frame = _join(frame, _read_target(results, s.target_accuracy))
    if results.has({"rounds": ["updates"]}):
        frame = _join(frame, _read_calls(results))
        fees = {f"calls_{call}": fee for call, fee in s.fees}
        total = sum(frame[calls] * fee for calls, fee in fees.items() if calls in frame)
        frame["cost_per_round"] = total / frame["rounds_played"]
    return frame


def _join(frame: pd.DataFrame, part: pd.DataFrame) -> pd.DataFrame:
    """Join columns by run; an outcome of a protocol with the name of one of them gives way."""
    taken = frame.columns.intersection(part.columns).drop("run_id")
    return frame.drop(columns=taken).merge(part, on="run_id", how="left")


def _read_payments(results: Results) -> pd.DataFrame:
    """Return per run the base units that devices gained in all, and the payments to or from them.

    Columns `spent` and `calls_payment`; initial balances and bribes are left out.
    """
    frame = results.sql(
        """
        select run_id,
               (sum(case when credit like 'device:%' then amount else 0 end)
                 - sum(case when debit like 'device:%' then amount else 0 end))::double as spent,
               (count(*) filter (where credit like 'device:%' or debit like 'device:%'))::double
                 as calls_payment
        from journal where reason <> 'initial' and reason <> 'bribe' group by run_id
        """,
        tables=("journal",),
    )
    return frame.astype({"spent": "float64", "calls_payment": "float64"})


def _read_target(results: Results, target: float) -> pd.DataFrame:
    """Return per run `reached_target` (1.0 or 0.0), and rounds and simulated seconds until then.

    A run that never reaches the target takes for ever: both are infinite, so that no mean of the
    other runs hides it. All three are NaN for a run without accuracies.
    """
    frame = results.sql(
        f"""
        select run_id, max((accuracy >= {target})::int)::double as reached_target,
               min(case when accuracy >= {target} then round end)::double as rounds_to_target,
               min(case when accuracy >= {target} then end_s end)::double as time_to_target_s
        from rounds group by run_id
        """,
        tables=("rounds",),
    )
    times = ["rounds_to_target", "time_to_target_s"]
    frame = frame.astype(dict.fromkeys(["reached_target", *times], "float64"))
    frame.loc[frame["reached_target"] == 0, times] = np.inf
    return frame


def _read_calls(results: Results) -> pd.DataFrame:
    """Return per run the updates, votes and blocks that a chain would record, and its rounds.

    Votes and blocks have their columns where the sweep records them; a run without them has 0.
    """
    counts = {"rounds_played": "count(*)", "calls_update": "sum(updates)"}
    if results.has({"rounds": ["votes_positive", "votes_negative"]}):
        counts["calls_vote"] = "coalesce(sum(votes_positive + votes_negative), 0)"
    if results.has({"rounds": ["block_time_s"]}):
        counts["calls_block"] = "count(block_time_s)"
    columns = ", ".join(f"({count})::double as {name}" for name, count in counts.items())
    frame = results.sql(f"select run_id, {columns} from rounds group by run_id", tables=("rounds",))
    return frame.astype(dict.fromkeys(counts, "float64"))


# --- measuring ----------------------------------------------------------------------------------


def _measure_runs(group: pd.DataFrame, asked: list[str], s: ScorecardSettings) -> dict[str, Any]:
    """Return the measures of finished runs; of those in `asked` also the means of outcomes."""
    row: dict[str, Any] = {}
    if "accuracy" in group:
        accuracy = group["accuracy"].astype(float).dropna()
        low, high = interval(accuracy.to_numpy(), level=s.level)
        row |= {"accuracy": _mean(accuracy), "accuracy_low": low, "accuracy_high": high}
    row |= {name: _mean(group[name]) for name in MEANS_BEFORE if name in group}
    row |= {
        "advantage": _mean(advantage(group)),
        "spent": _mean(group["spent"]),
        "budget_low": float(-group["spent"].max()),
        "budget_high": float(-group["spent"].min()),
    }
    for who in ("honest", "adversary"):
        if {f"accepted_{who}", f"rejected_{who}"} <= {*group.columns}:
            row[f"{who}_rejected"] = _rejected_share(group, who)
    if "cost_per_round" in group:
        row["cost_per_round"] = _mean(group["cost_per_round"])
    for name in asked:
        if name not in row and name in group and pd.api.types.is_numeric_dtype(group[name]):
            row[name] = _mean(group[name])
    return row


def _rejected_share(group: pd.DataFrame, who: str) -> float:
    """Return the share of the updates of `who` that was rejected; NaN without any."""
    rejected = group[f"rejected_{who}"].sum()
    judged = rejected + group[f"accepted_{who}"].sum()
    return float(rejected / judged) if judged else float("nan")


def _measure_people(members: pd.DataFrame, s: ScorecardSettings) -> dict[str, Any]:
    """Return individual rationality and slashing over all devices, inequality as mean over runs."""
    attacks = members["attacks"].astype(bool)
    honest, adversaries = members[~attacks], members[attacks]
    row = {"ir_violations": _mean(honest["utility"] < s.outside_option)}
    if "slashed" in members:
        row["slashed_adversary"] = _mean(adversaries["slashed"])
        row["slashed_honest"] = _mean(honest["slashed"])
    holdings = [held.to_numpy() for _, held in members.groupby("run_id")["held"]]
    row["gini"] = float(np.mean([gini(held) for held in holdings]))
    row["nakamoto"] = float(np.mean([nakamoto(held) for held in holdings]))
    return row


def _mean(values: pd.Series) -> float:
    """Return the mean of the known values; NaN when there is none."""
    return float(values.astype(float).mean())
