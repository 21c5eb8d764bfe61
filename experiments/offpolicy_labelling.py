"""Off-policy comparison of labelling rules: the same answers under every rule."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd

from experiments.offpolicy import COLUMNS
from experiments.recorded import sound
from experiments.rundir import RunError
from experiments.runresult import RunResult
from fedstake.outside import shown
from mechanisms import answers
from mechanisms import registries as rules_of
from mechanisms.failures import described
from mechanisms.labelling.base import LabellingRule
from mechanisms.registry import reading
from mechanisms.split import part
from mechanisms.vocabulary import UNKNOWN, LabellingObservation

MOST_OPTIONS = 1 << 16
"""Labels of a question; every data set has fewer classes."""


def compare_labelling(
    run: RunResult,
    rules: Iterable[str] | Mapping[str, Mapping[str, Any]] | None = None,
    *,
    trust: bool = False,
) -> pd.DataFrame:
    """Return what annotators would have earned with the answers of a run under each rule.

    Off-policy: who took and answered what is as recorded (`record.answers = true`), and the rule
    decides on every submission. Had it been in force, annotators might have acted otherwise.

    Returns a row per rule and device: `mechanism`, `device`, `group`, `adversary`, `income` (base
    units), `cpu_s` and `error`. A rule that cannot judge the answers has one row, with its error.
    Raises `RunError` for a run without recorded answers.

    Args:
        run: a recorded run in which labels were bought.
        rules: names of labelling rules, or their parameters by name. Default: all that are shipped.
            The run's own rule keeps the parameters of the run where none are given.
        trust: import plug-in files that the run names.
    """
    if not run.has({"answers": ("task", "device", "answers")}):
        raise RunError(
            f"{run.path}: this run has no answers; record them with --set record.answers=true"
        )
    settings = run.settings["labelling"]
    own = {settings["rule"]: settings["params"]}
    names = rules_of.labelling.names() if rules is None else list(rules)
    given = rules if isinstance(rules, Mapping) else {}
    with reading(trust=trust, own=names), sound(run.path, "the comparison"):
        tasks = [_checked(run, task) for task in _tasks(run)]
        scenario: Any = run.scenario
        unit = scenario.labelling.unit
        parts = []
        for name in names:
            params = dict(given.get(name, own.get(name, {})))
            parts.append(_paid(run, name, params, tasks, unit))
    table = pd.concat(parts, ignore_index=True)
    return table.astype({"device": "Int64", "adversary": "boolean", "income": "Int64"})


def _tasks(run: RunResult) -> Iterator[LabellingObservation]:
    """Yield what a rule saw of each task that was answered, in the order in which they ended."""
    asked = dict(iter(run.table("questions").groupby("task", sort=False)))
    for task, sent in run.table("answers").groupby("task", sort=False):
        questions = asked[task]
        truth, gold = questions["label"].to_numpy(), questions["gold"].to_numpy(dtype=bool)
        yield LabellingObservation(
            round=int(sent["round"].iloc[0]),
            options=int(questions["options"].iloc[0]),
            workers=tuple(sent["device"].tolist()),
            answers=np.stack(sent["answers"].to_list()).astype(np.int64),
            points=questions["points"].to_numpy(dtype=np.int64),
            memory={},
            gold=np.where(gold, truth, UNKNOWN).astype(np.int64),
        )


def _checked(run: RunResult, task: LabellingObservation) -> LabellingObservation:
    """Return a task as it was recorded; raise `RunError` for what no rule could have seen."""
    seen = len(task.workers), len(task.points)
    labels = np.concatenate([task.answers.ravel(), task.gold])
    for table, wrong in (
        ("questions", not 2 <= task.options <= MOST_OPTIONS),
        ("questions", bool((task.points < 0).any())),
        ("answers", task.answers.shape != seen),
        ("answers", not all(type(device) is int for device in task.workers)),
        ("answers", bool(((labels < UNKNOWN) | (labels >= task.options)).any())),
    ):
        if wrong:
            raise RunError(
                f"{shown(run.path)}: table {table}: round {task.round} has a task that nobody "
                "could have answered so; the folder is damaged or forged"
            )
    return task


def _paid(
    run: RunResult,
    name: str,
    params: dict[str, Any],
    tasks: list[LabellingObservation],
    unit: int,
) -> pd.DataFrame:
    """Return the rows of one rule."""
    began = time.process_time()
    try:
        rule = rules_of.labelling.create(name, params)
        incomes = _incomes(rule, tasks, unit)
    except Exception as error:  # a rule may raise anything; the others go on
        spent = time.process_time() - began
        failed = (name, None, None, None, None, spent, described(error))
        return pd.DataFrame([failed], columns=list(COLUMNS))
    people = run.table("participants").drop_duplicates("device")
    found = people[["device", "group", "adversary"]].reset_index(drop=True)
    found["income"] = [incomes[device] for device in found["device"].tolist()]
    spent = time.process_time() - began
    return found.assign(mechanism=name, cpu_s=spent, error=None)[list(COLUMNS)]


def _incomes(rule: LabellingRule, tasks: list[LabellingObservation], unit: int) -> Counter[int]:
    """Return by device what a rule pays for all tasks."""
    incomes: Counter[int] = Counter()
    memory: Mapping[str, Any] = {}
    for task in tasks:
        seen = LabellingObservation(**{**vars(task), "memory": memory})
        judged = answers.judgement(rule, rule.judge(seen.shown_to(rule.observes)), seen)
        if judged.memory is not None:
            memory = answers.plain_memory(rule, "judge", judged.memory)
        for device, points in zip(task.workers, judged.earned(task.points).tolist(), strict=True):
            incomes[device] += part(unit, points)
    return incomes
