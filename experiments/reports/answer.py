"""What a compared sweep answers: the winner, why, and how sure; and the scorecard in parts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from experiments.numerals import how_many, rounded
from experiments.reports.page import Section
from experiments.reports.scorecard import scorecard_parts
from experiments.results import Results
from experiments.rundir import RunError
from experiments.scorecard.columns import directed
from experiments.scorecard.settings import UNSTATED, Objective, read_settings
from experiments.scorecard.showing import compatibility, gains_in_words, sybils
from experiments.scorecard.winner import Verdict, compare

MOST = 3
"""Mechanisms that the answer names."""


@dataclass(frozen=True)
class Answer:
    """The answer of a sweep.

    Args:
        lead: sections that stand first.
        tables: sections with the tables that it rests on.
        order: by factor, its levels from the best to the worst.
        measure: what they are ranked by; "" where there is no ranking.
    """

    lead: Sequence[Section] = ()
    tables: Sequence[Section] = ()
    order: Mapping[str, Sequence[Any]] = field(default_factory=dict)
    measure: str = ""


def answer_of(results: Results, out: Path | None = None) -> Answer:
    """Return the answer of a sweep that has a scorecard; an empty one of any other.

    It is computed again, so that it fits the runs that there are, and its files are written into
    `out` (default: the sweep's folder).
    """
    if not results.spec.get("scorecard"):
        return Answer()
    place = str(results.folder)
    try:
        verdict = compare(results, out=out)
        settings = read_settings(results.spec["scorecard"], place)
        objective = directed(settings.objective or UNSTATED, results.directions(), place)
    except RunError as error:
        return Answer([Section("Answer", note=str(error))])
    name = settings.mechanism
    lines = _lines(results, verdict, name, objective)
    return Answer(
        lead=[Section("Answer", lines=tuple(lines))],
        tables=[*_evidence(results, verdict), *scorecard_parts(verdict.table, results.labels)],
        order={name: verdict.ranking[name].tolist()},
        measure=objective.measure,
    )


def _lines(
    results: Results, verdict: Verdict, mechanism: str, objective: Objective
) -> Iterator[str]:
    """Yield who wins, why, and how sure that is."""
    ranking = verdict.ranking
    if verdict.winner is None:
        yield f"There is no winner: {verdict.reason}{verdict.note}."
    else:
        yield f"{verdict.called} wins{verdict.ahead}{verdict.note}."
    called = [results.labels.level(mechanism, level) for level in ranking[mechanism]]
    values = rounded(ranking[[objective.measure]])[objective.measure]
    rows = zip(called[:MOST], values, ranking["violates"], strict=False)
    listed = "; ".join(_ranked(*row) for row in rows)
    more = "; …" if len(called) > MOST else "."
    yield f"{verdict.title[0].upper()}{verdict.title[1:]}: {listed}{more}"
    runs = results.runs()
    done, seeds = int((runs["status"] == "done").sum()), int(runs["seed"].nunique())
    rests = f"This rests on {done:,} of {len(runs):,} runs with {how_many(seeds, 'seed')}."
    yield rests
    yield from (f"{warning}." for warning in verdict.warnings)


def _ranked(name: str, value: str, violates: str) -> str:
    return f"{name} {value}" + (f" (violates {violates})" if violates else "")


def _evidence(results: Results, verdict: Verdict) -> Iterator[Section]:
    """Yield the ranking, and what deviations and sybils gain."""
    labels = results.labels
    ranking = verdict.ranking
    if not ranking["violates"].any():
        ranking = ranking.drop(columns="violates")
    keys = [c for c in verdict.table.columns if c in results.factors]
    yield Section(
        "Ranking",
        rounded(labels.applied(ranking)),
        note=f"{verdict.title[0].upper()}{verdict.title[1:]}.",
    )
    level = f"{100 * verdict.level:.4g} %"
    gains = (
        "Mean gain of a deviating device over the same device when nobody attacks, paired by seed, "
        f"base units per run; {level} intervals that hold together ({verdict.method})."
    )
    tables = {
        "Gain from deviating": (gains_in_words(verdict), gains),
        "Incentive compatibility": (compatibility(verdict, keys), "Of the deviations tried."),
        "Gain from sybils": (sybils(verdict, keys), f"Per operator, {level} intervals."),
    }
    for heading, (table, note) in tables.items():
        if not table.empty:
            yield Section(heading, labels.applied(table), note=note)
