"""Checks of a scorecard before a run of its sweep is played: wrong input costs one line."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from experiments.scorecard.columns import Needs, check_measures, directed, possible
from experiments.scorecard.levels import check_levels
from experiments.scorecard.settings import UNSTATED, ScorecardSettings, read_settings
from experiments.sweeps.plan import PlannedRun, Spec, outcomes_of
from sim.protocol import protocols
from sim.scenario import Scenario


def check_before(spec: Spec, runs: Sequence[PlannedRun]) -> None:
    """Raise `RunError` for settings of the scorecard that do not fit the plan of a sweep.

    These are factors, levels, the honest level, the objective, its direction, and the names of
    measures; only that every run ends well is known later.
    """
    s = read_settings(spec.scorecard, spec.file)
    cells = {run.cell: run for run in reversed(runs)}
    check_levels(s, spec.file, spec.factors, _plan(spec.factors, cells, s))

    scenarios = [run.scenario for run in cells.values()]
    outcomes = {n: o.best for scenario in scenarios for n, o in outcomes_of(scenario).items()}
    objective = s.objective or UNSTATED
    columns = _columns(scenarios)

    def recorded(needs: Needs) -> bool:
        return all({*needed} <= columns.get(table, set()) for table, needed in needs.items())

    levels = {str(run.labels[s.adversary]) for run in cells.values()}
    known = list(possible(s, outcomes, recorded, levels))
    check_measures(objective, known, spec.file)
    directed(objective, outcomes, spec.file)


def _plan(
    factors: Sequence[str], cells: Mapping[int, PlannedRun], s: ScorecardSettings
) -> pd.DataFrame:
    """Return one row per cell: its levels, as the results have them, and its scenario.

    A sweep may have many cells: scenarios are written out at the honest level alone.
    """
    runs = [cells[cell] for cell in sorted(cells)]
    columns = {factor: _as_recorded([run.labels[factor] for run in runs]) for factor in factors}
    frame = pd.DataFrame(columns | {"scenario": [run.scenario for run in runs]})
    if s.adversary not in factors:
        return frame
    honest = frame[s.adversary].astype(str) == s.honest
    frame.loc[honest, "scenario"] = frame.loc[honest, "scenario"].map(lambda made: made.to_dict())
    return frame


def _as_recorded(labels: list[Any]) -> list[Any]:
    """Return the levels of a factor: as text unless all are numbers or all are truth values."""
    truths = {isinstance(label, bool) for label in labels}
    names = any(isinstance(label, str) for label in labels)
    if not names and len(truths) == 1:
        return labels
    return [label if isinstance(label, str) else json.dumps(label) for label in labels]


def _columns(scenarios: Sequence[Scenario]) -> dict[str, set[str]]:
    """Return the columns by table that some of the scenarios record."""
    found: dict[str, set[str]] = {}
    for scenario in scenarios:
        protocol = protocols.get(scenario.protocol)
        for name, table in protocol.recorded(scenario).items():  # type: ignore[attr-defined]
            found.setdefault(name, set()).update(table.columns)
    return found
