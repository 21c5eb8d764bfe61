"""The smallest scenario found in which a deviation pays: a counterexample that one can run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from experiments.audits.question import Question
from experiments.audits.race import Finding, gains_of
from experiments.confidence import Bound, student
from experiments.loader import ScenarioError
from experiments.trials import Trials
from sim.keys import SettingError
from sim.scenario import Scenario

SEEDS = 5
"""Seeds of every scenario that is tried: the deviation must pay in all of them together."""


@dataclass(frozen=True)
class Smallest:
    """A scenario in which a deviation pays, and the one that it is compared with.

    Args:
        deviating, honest: the scenarios, with the seed in which the gain is largest.
        gain: base units per run with its 95 % interval (Student) over the seeds tried.
        gain_at: in the run of that seed.
    """

    deviating: Scenario
    honest: Scenario
    gain: Bound
    gain_at: float


def smallest_of(
    question: Question,
    finding: Finding,
    baseline: Mapping[str, Any],
    trials: Trials,
    runs: int,
    first: int,
) -> tuple[Smallest, int]:
    """Return the smallest scenario found, and the runs that it took.

    It begins with the scenario itself, in which the finding pays, and shrinks rounds and devices as
    long as the gain is clearly above 0: its 95 % interval (Student) is, over a few seeds.
    """
    seeds = list(range(first, first + SEEDS))
    now: dict[str, Any] = {}
    gains, chosen = np.array(finding.gains), list(finding.seeds)
    played = 0
    for smaller in _smaller(question.scenario):
        if played + 2 * SEEDS > runs:
            break
        keys = {**now, **smaller}
        pair = {"deviating": {**finding.entry.keys, **keys}, "before": {**baseline, **keys}}
        try:
            for variant in pair.values():
                question.scenario.replace(**variant)
        except SettingError:
            continue  # too small for the rule, the roles or the data
        played += 2 * SEEDS
        try:
            rows = trials.paid(pair, seeds)
        except ScenarioError:
            continue
        found = gains_of(rows, finding.entry, "deviating", "before").to_numpy(float)
        if student(found).low > 0:
            now, gains, chosen = keys, found, seeds
    best = int(np.argmax(gains))
    keys = {**now, "seed": chosen[best]}
    scenario = question.scenario
    return Smallest(
        scenario.replace(**{**finding.entry.keys, **keys}),
        scenario.replace(**{**baseline, **keys}),
        student(gains),
        float(gains[best]),
    ), played


def _smaller(scenario: Scenario) -> Iterator[dict[str, Any]]:
    """Yield changes to try one after the other: fewer rounds, then fewer devices."""
    rounds, devices = scenario.rounds, scenario.devices
    while rounds > 1:
        rounds //= 2
        yield {"rounds": rounds}
    while devices > 3:
        devices -= max(1, devices // 5)
        yield {"devices": devices}
