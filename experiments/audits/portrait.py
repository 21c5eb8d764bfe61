"""How honest devices fare under a rule, by role and kind of device, over time, and how fairly.

Nobody deviates in the runs that this is read from.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import betaincinv

from experiments.audits.question import Question
from experiments.confidence import Bound, Float64, student
from experiments.results import Results
from experiments.scorecard.measures import gini
from experiments.scorecard.shapley import fairness_of_run
from experiments.trials import Trials
from mechanisms.payouts.base import PayoutRule
from sim.keys import SettingError
from sim.protocol import Trait
from sim.registries import protocols
from sim.settings import HONEST

TAPE = "record.tape"
QUARTER = 0.25
"""Share of the devices of a run that count as of a kind: those that are most of it."""
TRAIT_SEEDS, TAPED_SEEDS = 6, 3
"""At most; of a small budget fewer."""
ROLES = """
    select p.seed, w.device, w.role, avg(w.utility)::double as utility
    from participants w join p using (run_id) where w."group" = {honest} and w.role is not null
    group by all order by all
"""
KIND = """
    select p.seed, w.device, any_value(m.measure) as measure, sum(w.utility)::double as paid
    from participants w join p using (run_id)
    join (select run_id, device, ({measure})::double as measure from participants group by all) m
        using (run_id, device)
    where w."group" = {honest} group by all order by all
"""
TIME = """
    select p.seed, w.round, list(w.balance + w.locked order by w.device) as held,
           any_value(r.issued)::double as issued, any_value(r.burned)::double as burned
    from participants w join p using (run_id) join rounds r using (run_id, round)
    where w."group" = {honest} group by all order by all
"""
STUCK = """
    select p.seed, (sum(moved) / nullif(sum(moved) filter (moved > 0), 0))::double as share
    from (
        select run_id, amount::double as moved from journal where credit like 'escrow:%'
        union all
        select run_id, -amount::double as moved from journal where debit like 'escrow:%'
    ) j join p using (run_id) group by p.seed order by p.seed
"""
ROUNDING = 1e-3
"""Share of what went into escrows that may stay there undivided."""
OUT = """
    select seed, avg(outside::int)::double as share
    from (
        select p.seed, w.device, arg_max(w.outside, w.round) as outside
        from (select *, coalesce({shut_out}, false) as outside from participants) w
            join p using (run_id)
        where w."group" = {honest} group by all
    ) group by seed order by seed
"""
IS_HONEST = f"'{HONEST}'"


@dataclass(frozen=True)
class Kind:
    """Honest devices of one kind, as slow ones.

    Args:
        name: of the trait.
        payoff: of one of them, base units per run, mean over runs with its interval.
        others: payoff of the other devices of the same runs.
    """

    name: str
    payoff: Bound
    others: Bound


@dataclass(frozen=True)
class Fault:
    """Something that should happen in no run.

    Args:
        runs: in which it happened.
        of: runs.
        share: how much of it, 0 to 1, mean over runs.
        low, high: ends of the exact interval of the probability of such a run (Clopper and
            Pearson 1934, Biometrika 26).
    """

    runs: int
    of: int
    share: float
    low: float
    high: float

    def verdict(self, tolerance: float) -> str:
        """Return whether it happens more often than is tolerated, in the words of findings."""
        if self.low > tolerance:
            return "profitable"
        return "compatible" if self.high <= tolerance else "undecided"


@dataclass(frozen=True)
class Portrait:
    """How honest devices fare.

    Args:
        roles: a row for each role: payoff of a device and round in it with its interval, base
            units, and the share of devices that lose in it.
        kinds: of devices.
        time: a row for each round: Gini coefficient of what honest devices hold, units issued and
            burned in it; means over runs.
        shut_out: whether honest devices lose their place by the end, and which share of them; None
            where nobody can (`Protocol.shut_out`).
        stuck: whether units stay behind in the rule's escrows after the end, and which share of
            those that went in; more than a thousandth counts, less is rounding.
        fairness: sum of absolute differences between the shares of pay and those of Shapley
            values, 0 to 2, mean over runs with its interval; None where they cannot be compared.
        runs: played for it.
        notes: what could not be asked, and why.
    """

    roles: pd.DataFrame
    kinds: tuple[Kind, ...]
    time: pd.DataFrame
    shut_out: Fault | None
    stuck: Fault
    fairness: Bound | None
    runs: int
    notes: tuple[str, ...] = field(default=())


def portrait_of(
    question: Question, trials: Trials, seeds: Sequence[int], level: float
) -> Portrait | None:
    """Return how honest devices fare in runs in which nobody deviates; None where none is honest.

    Args:
        question: what is audited.
        trials: plays variants of its scenario.
        seeds: of the runs of the scenario itself; fewer are played for each kind of device.
        level: of each interval.
    """
    before = trials.runs
    results = trials.played({HONEST: question.honest}, seeds)
    roles, time = _roles(results, level), _time(results)
    if time.empty:
        return None
    notes: list[str] = []
    few = max(2, len(seeds) // 6)
    protocol: Any = protocols.get(question.scenario.protocol)
    chosen = list(seeds)[: min(TRAIT_SEEDS, few)]
    kinds = tuple(_kinds(protocol.traits, question, trials, chosen, level, notes))
    fairness = _fairness(question, trials, list(seeds)[: min(TAPED_SEEDS, few)], level)
    return Portrait(
        roles=roles,
        kinds=kinds,
        time=time,
        shut_out=_shut_out(results, protocol.shut_out, level),
        stuck=_stuck(results, level),
        fairness=fairness,
        runs=trials.runs - before,
        notes=tuple(notes),
    )


def _roles(results: Results, level: float) -> pd.DataFrame:
    """Return a row for each role; intervals are Student's over runs."""
    each = results.sql(ROLES.format(honest=IS_HONEST), ["participants"])
    rows = []
    for role, part in each.groupby("role", sort=True):
        by_run = part.groupby("seed")["utility"].mean().to_numpy(np.float64)
        bound = student(by_run, level)
        losing = float((part["utility"] < 0).mean())
        rows.append((role, bound.mean, bound.low, bound.high, losing))
    return pd.DataFrame(rows, columns=["role", "payoff", "payoff_low", "payoff_high", "losing"])


def _kinds(
    traits: Mapping[str, Trait],
    question: Question,
    trials: Trials,
    seeds: list[int],
    level: float,
    notes: list[str],
) -> list[Kind]:
    """Return how each kind of device fares that the protocol knows."""
    found = []
    for name, trait in traits.items():
        keys = {**question.honest, **trait.keys}
        try:
            question.scenario.replace(**keys)
        except SettingError as error:
            notes.append(f"{name}: {error}")
            continue
        results = trials.played({name: keys}, seeds)
        failed = results.failures()
        if len(failed):
            notes.append(f"{name}: a run failed: {failed['error'].iloc[0]}")
            continue
        query = KIND.format(measure=trait.measure, honest=IS_HONEST)
        each = results.sql(query, ["participants"])
        if len(each.dropna()):
            found.append(_kind(name, each.dropna(), level))
    return found


def _kind(name: str, each: pd.DataFrame, level: float) -> Kind:
    """Return the payoffs of the devices with the smallest measure of each run, and of the others.

    Devices with the same measure as the last of them are among them.
    """
    ranks = each.groupby("seed")["measure"].rank(method="min")
    devices = each.groupby("seed")["device"].transform("count")
    chosen = ranks <= np.maximum(1, QUARTER * devices)
    means = [part.groupby("seed")["paid"].mean() for part in (each[chosen], each[~chosen])]
    bounds = [_student_or_none(values.to_numpy(np.float64), level) for values in means]
    return Kind(name, *bounds)


def _student_or_none(values: np.ndarray[Any, Any], level: float) -> Bound:
    """Return a mean with its interval; of no values nothing is known."""
    if not len(values):
        return Bound(np.nan, -np.inf, np.inf)
    return student(values, level)


def _time(results: Results) -> pd.DataFrame:
    """Return a row for each round."""
    each = results.sql(TIME.format(honest=IS_HONEST), ["participants", "rounds"])
    each["gini"] = [gini(held) for held in each["held"]]
    columns = ["gini", "issued", "burned"]
    return each.groupby("round", as_index=False)[columns].mean()


def _shut_out(results: Results, measure: str, level: float) -> Fault | None:
    if not measure:
        return None
    each = results.sql(OUT.format(honest=IS_HONEST, shut_out=measure), ["participants"])
    return _fault(each["share"].to_numpy(np.float64), 0.0, level)


def _stuck(results: Results, level: float) -> Fault:
    each = results.sql(STUCK, ["journal"])
    runs = results.runs()
    finished = sorted(runs.loc[runs["status"] == "done", "seed"])
    shares = each.set_index("seed")["share"].reindex(finished).fillna(0.0)
    return _fault(shares.to_numpy(np.float64), ROUNDING, level)


def _fault(shares: Float64, most: float, level: float) -> Fault:
    """Return in how many runs a share is above what counts as none."""
    hit, runs = int((shares > most).sum()), len(shares)
    tail = (1 - level) / 2
    low = float(betaincinv(hit, runs - hit + 1, tail)) if hit else 0.0
    high = float(betaincinv(hit + 1, runs - hit, 1 - tail)) if hit < runs else 1.0
    return Fault(hit, runs, float(shares.mean()), low, high)


def _fairness(question: Question, trials: Trials, seeds: list[int], level: float) -> Bound | None:
    """Return the distance of pay to Shapley values, off-policy on tapes of honest runs."""
    if not issubclass(question.plugin, PayoutRule):
        return None
    keys = {**question.honest, TAPE: True}
    try:
        question.scenario.replace(**keys)
    except SettingError:
        return None
    results = trials.played({"taped": keys}, seeds)
    runs = results.runs()
    finished = runs.loc[runs["status"] == "done", "run_id"]
    measured = [fairness_of_run(results.run(run_id)) for run_id in finished]
    known = [found["l1"] for found in measured if found and not np.isnan(found["l1"])]
    if len(known) < 2:
        return None
    return student(np.array(known), level)
