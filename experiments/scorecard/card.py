"""One row per mechanism, adversary and environment, from the results of a sweep."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd

from experiments.results import Results, interval
from experiments.rundir import RunError
from experiments.scorecard.measures import fairness, gini, nakamoto, paired_gaps
from experiments.scorecard.settings import ScorecardSettings, read_settings
from experiments.sweeps.manifest import RUNS
from mechanisms.plugin import nearest


def scorecard(results: Results, settings: ScorecardSettings | None = None) -> pd.DataFrame:
    """The scorecard; columns are explained in `docs/reference/scorecard.md`. Raises `RunError` when a factor is missing."""
    s = settings or read_settings(results.spec.get("scorecard", {}), str(results.folder))
    environment = _check(results, s)
    people = _people(results)
    runs = results.outcomes().merge(_more_outcomes(results, s), on="run_id", how="left")
    rows = []
    keys = [s.mechanism, s.adversary, *environment]
    for labels, planned in results.runs().groupby(keys, sort=False):
        own = dict(zip(keys, labels, strict=True))
        ids = set(planned["run_id"])
        group, members = runs[runs["run_id"].isin(ids)], people[people["run_id"].isin(ids)]
        row = own | {"planned": len(planned), "runs": len(group)}
        if len(group):
            row |= (
                _outcome(group, s)
                | _distribution(members, s)
                | _gaps(own, runs, people, environment, s)
            )
        rows.append(row)
    return pd.DataFrame(rows)


def _check(results: Results, s: ScorecardSettings) -> list[str]:
    """Names of the remaining factors; `RunError` when the settings name a factor or level that the sweep has not."""
    for key in ("mechanism", "adversary"):
        if getattr(s, key) not in results.factors:
            hint = nearest(getattr(s, key), results.factors)
            raise RunError(
                f"{results.folder}: scorecard.{key} = {getattr(s, key)!r}: no such factor; {hint}"
            )
    levels = list(dict.fromkeys(results.runs()[s.adversary].astype(str)))
    for level in (s.honest, *(s.deviations or ()), *s.sybils.values(), *s.single.values()):
        if level not in levels:
            raise RunError(
                f"{results.folder}: scorecard: {s.adversary} has no level {level!r}; {nearest(level, levels)}"
            )
    return [f for f in results.factors if f not in (s.mechanism, s.adversary)]


def _people(results: Results) -> pd.DataFrame:
    """One row per run and device: utility over the run, stake at its end, whether it was ever slashed."""
    frame = results.sql(
        """
        select run_id, device, any_value(adversary) as attacks, sum(utility)::double as utility,
               arg_max(balance + locked, round)::double as held, sum(penalty) > 0 as slashed
        from participants group by run_id, device
        """,
        tables=("participants",),
    )
    plan = results.runs()[["run_id", "seed", "cell", *results.factors]]
    return frame.merge(plan, on="run_id")


def _more_outcomes(results: Results, s: ScorecardSettings) -> pd.DataFrame:
    """Per run: rounds and simulated seconds to the target accuracy, base units that devices gained in all, cost of a round."""
    speed = results.sql(
        f"""
        select run_id, min(case when accuracy >= {s.target_accuracy} then round end) as rounds_to_target,
               min(case when accuracy >= {s.target_accuracy} then end_s end) as time_to_target_s,
               sum(updates)::double as calls_update, sum(votes_positive + votes_negative)::double as calls_vote,
               count(block_time_s)::double as calls_block, count(*)::double as rounds
        from rounds group by run_id
        """,
        tables=("rounds",),
    )
    money = results.sql(
        """
        select run_id,
               (sum(case when credit like 'device:%' then amount else 0 end)
                 - sum(case when debit like 'device:%' then amount else 0 end))::double as spent,
               count(*) filter (where credit like 'device:%' or debit like 'device:%') as calls_payment
        from journal where reason <> 'initial' and reason <> 'bribe' group by run_id
        """,
        tables=("journal",),
    )
    frame = speed.merge(money, on="run_id", how="left").fillna({"spent": 0, "calls_payment": 0})
    f = s.fees
    calls = {"update": f.update, "vote": f.vote, "block": f.block, "payment": f.payment}
    frame["cost_per_round"] = (
        sum(frame[f"calls_{name}"] * fee for name, fee in calls.items()) / frame["rounds"]
    )
    wanted = ["rounds_to_target", "time_to_target_s", "spent", "cost_per_round"]
    return frame[["run_id", *wanted]].astype(dict.fromkeys(wanted, "float64"))


def _outcome(group: pd.DataFrame, s: ScorecardSettings) -> dict[str, Any]:
    accuracy = group["accuracy"].to_numpy(dtype=float)
    low, high = interval(accuracy, "bootstrap", s.level)
    honest = group["accepted_honest"].sum() + group["rejected_honest"].sum()
    bad = group["accepted_adversary"].sum() + group["rejected_adversary"].sum()
    advantage = (group["adversary_utility"] - group["honest_utility"]).mean()
    return {
        "accuracy": float(accuracy.mean()),
        "accuracy_low": low,
        "accuracy_high": high,
        "reached_target": float(group["rounds_to_target"].notna().mean()),
        # A run that never reaches the target takes for ever: no mean of the others may hide it.
        "rounds_to_target": float(group["rounds_to_target"].fillna(np.inf).mean()),
        "time_to_target_s": float(group["time_to_target_s"].fillna(np.inf).mean()),
        "honest_income": float(group["honest_income"].mean()),
        "adversary_income": float(group["adversary_income"].mean()),
        "honest_utility": float(group["honest_utility"].mean()),
        "adversary_utility": float(group["adversary_utility"].mean()),
        "advantage": float(advantage),
        "spent": float(group["spent"].mean()),
        "budget_low": float(-group["spent"].max()),
        "budget_high": float(-group["spent"].min()),
        "honest_rejected": float(group["rejected_honest"].sum() / honest)
        if honest
        else float("nan"),
        "adversary_rejected": float(group["rejected_adversary"].sum() / bad)
        if bad
        else float("nan"),
        "cost_per_round": float(group["cost_per_round"].mean()),
    }


def _distribution(members: pd.DataFrame, s: ScorecardSettings) -> dict[str, Any]:
    """Individual rationality, slashing, inequality of stake: means over runs of what each run gives."""
    bad = members["attacks"].astype(bool)
    honest = members[~bad]
    by_run = [held.to_numpy() for _, held in members.groupby("run_id")["held"]]
    return {
        "ir_violations": float((honest["utility"] < s.outside_option).mean())
        if len(honest)
        else float("nan"),
        "slashed_adversary": float(members[bad]["slashed"].mean()) if bad.any() else float("nan"),
        "slashed_honest": float(honest["slashed"].mean()) if len(honest) else float("nan"),
        "gini": float(np.mean([gini(x) for x in by_run])),
        "nakamoto": float(np.mean([nakamoto(x) for x in by_run])),
    }


def _gaps(
    own: dict[str, Any],
    runs: pd.DataFrame,
    people: pd.DataFrame,
    environment: list[str],
    s: ScorecardSettings,
) -> dict[str, Any]:
    """What deviating and splitting gain under this mechanism and environment; on the rows of the honest level only."""
    if str(own[s.adversary]) != s.honest:
        return {}
    here = _where(people, own, [s.mechanism, *environment])
    honest = here[here[s.adversary].astype(str) == s.honest].set_index(["seed", "device"])[
        "utility"
    ]
    levels = [
        x
        for x in dict.fromkeys(here[s.adversary].astype(str))
        if x not in (s.honest, *s.sybils.values(), *s.single.values())
    ]
    gains = {}
    for level in s.deviations if s.deviations is not None else levels:
        deviating = here[(here[s.adversary].astype(str) == level) & here["attacks"].astype(bool)]
        gain = [
            (each.set_index("device")["utility"] - honest.loc[seed].reindex(each["device"])).mean()
            for seed, each in deviating.groupby("seed")
            if seed in honest.index.get_level_values(0)
        ]
        if gain:
            gains[str(level)] = gain
    told: dict[str, Any] = {}
    if gains:
        gaps = paired_gaps(gains, s.level)
        worst = max(gaps, key=lambda name: gaps[name][0])
        mean = gaps[worst][0]
        low, high = (
            max(gap[i] for gap in gaps.values()) for i in (1, 2)
        )  # of the largest gap, whichever it is
        verdict = "yes" if high <= s.tolerance else "no" if low > s.tolerance else "undetermined"
        told = {
            "ic_gap": mean,
            "ic_gap_low": low,
            "ic_gap_high": high,
            "best_deviation": worst,
            "incentive_compatible": verdict,
        }
    for k, level in s.sybils.items():
        split = _sybil(here, honest, level, s.single.get(k), s)
        told |= dict(
            zip(
                (f"sybil_gain_{k}", f"sybil_gain_{k}_low", f"sybil_gain_{k}_high"),
                split,
                strict=True,
            )
        )
    return told


def _sybil(
    here: pd.DataFrame, honest: pd.Series, level: str, single: str | None, s: ScorecardSettings
) -> tuple[float, float, float]:
    """What k identities earn together less what their one operator earned as one, paired by seed.

    As one: at the level `single`, where the operator's group plays with one identity and the others wait; else the first of
    its devices when nobody attacks, among one honest operator more for each further identity.
    """

    def together(name: str) -> dict[Any, float]:
        ring = here[(here[s.adversary].astype(str) == name) & here["attacks"].astype(bool)]
        return dict(ring.groupby("seed")["utility"].sum())

    many = together(level)
    if single is not None:
        alone = together(single)
    else:
        ring = here[(here[s.adversary].astype(str) == level) & here["attacks"].astype(bool)]
        first = dict(ring.groupby("seed")["device"].min())
        alone = {
            seed: float(honest.loc[(seed, d)])
            for seed, d in first.items()
            if (seed, d) in honest.index
        }
    gains = [many[seed] - alone[seed] for seed in sorted(many.keys() & alone.keys())]
    if not gains:
        return float("nan"), float("nan"), float("nan")
    return paired_gaps({level: gains}, s.level)[level]


def _where(frame: pd.DataFrame, own: dict[str, Any], keys: list[str]) -> pd.DataFrame:
    for key in keys:
        frame = frame[frame[key] == own[key]]
    return frame


def against_shapley(results: Results, settings: ScorecardSettings | None = None) -> pd.DataFrame:
    """Fairness per mechanism, adversary and environment: how far honest devices' incomes are from Shapley values.

    Only for runs that were recorded with `record.tape = true`, whose blocks the rule `shapley` is played on, off-policy.
    Columns `fairness_l1`, `fairness_rank`, `fairness_under` (see `measures.fairness`), means over runs; empty without tapes.
    """
    s = settings or read_settings(results.spec.get("scorecard", {}), str(results.folder))
    keys = [s.mechanism, s.adversary, *_check(results, s)]
    rows = list(_fairness_of_runs(results, keys))
    if not rows:
        return pd.DataFrame(columns=[*keys, "fairness_l1", "fairness_rank", "fairness_under"])
    return pd.DataFrame(rows).groupby(keys, sort=False, as_index=False).mean(numeric_only=True)


def _fairness_of_runs(results: Results, keys: list[str]) -> Iterator[dict[str, Any]]:
    from experiments.offpolicy import compare_payouts

    scenarios = results.scenarios()
    runs = results.runs()
    for row in runs[runs["status"] == "done"].to_dict("records"):
        if not scenarios[row["cell"]]["record"]["tape"]:
            continue
        if not (results.folder / RUNS / row["run_id"]).is_dir():
            continue  # its directory was removed after compacting
        run = results.run(row["run_id"])
        table = compare_payouts(run, ["shapley"])
        if table["error"].notna().any():
            continue
        deserved = (
            table[~table["adversary"].astype(bool)].set_index("device")["income"].astype(float)
        )
        paid = (
            run.participants.groupby("device")["income"].sum().astype(float).reindex(deserved.index)
        )
        told = fairness(paid, deserved)
        yield {key: row[key] for key in keys} | {
            f"fairness_{name}": value for name, value in told.items()
        }
