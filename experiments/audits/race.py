"""Races: runs go to the deviations of which it is not known yet whether they pay."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import pandas as pd

from experiments import confidence
from experiments.confidence import Bound
from fedstake.errors import FedstakeError, InputError

Verdict = Literal["profitable", "compatible", "undecided"]
Sample = Callable[[Mapping[str, Mapping[str, Any]], Sequence[int]], pd.DataFrame]
"""Plays variants by name under seeds; rows as those of `Trials.paid`."""
Measure = Callable[[pd.DataFrame, pd.DataFrame], float]
"""Returns a gain from the rows of a variant and of its baseline, both of one seed."""

GROWTH = 1.5
"""Seeds of a stage over those of the stage before."""


@dataclass(frozen=True)
class Entry:
    """A variant in a race: whose gain it is, over which baseline, and how that is measured."""

    name: str
    keys: Mapping[str, Any]
    measure: Measure
    baseline: str
    kind: str = "deviation"
    size: int = 1


@dataclass
class Finding:
    """A variant after a race: its gain in each run, in base units per run, and what follows."""

    entry: Entry
    gains: list[float] = field(default_factory=list)
    seeds: list[int] = field(default_factory=list)
    bound: Bound = field(default_factory=lambda: Bound(np.nan, -np.inf, np.inf))
    verdict: Verdict = "undecided"
    failed: list[int] = field(default_factory=list)
    """Seeds under which its run failed, or its gain is not known: it gets no more runs."""

    @property
    def name(self) -> str:
        return self.entry.name


@dataclass(frozen=True)
class Judge:
    """How gains are judged.

    Args:
        sequence: makes the interval of each gain; its alpha is that of one of them.
        epsilon: largest gain that counts as none, base units per run.
    """

    sequence: confidence.Sequence
    epsilon: float

    def judge(self, finding: Finding) -> None:
        """Set the interval and the verdict of a finding: undecided where a run of it failed.

        Raises `InputError` for a gain outside the stated limits.
        """
        try:
            finding.bound = self.sequence.bound(finding.gains)
        except ValueError as error:
            raise InputError(f"{finding.name}: {error}") from error
        finding.verdict = "undecided"
        if finding.failed:
            return
        if finding.bound.low > self.epsilon:
            finding.verdict = "profitable"
        elif finding.bound.high <= self.epsilon:
            finding.verdict = "compatible"


def gain_of_members(group: str) -> Measure:
    """Return the measure of what members of a group gain, each over itself when all are honest."""

    def measure(rows: pd.DataFrame, before: pd.DataFrame) -> float:
        members = rows[rows["group"] == group].set_index("device")["paid"]
        same = before.set_index("device")["paid"].reindex(members.index)
        return float((members - same).mean(skipna=False))

    return measure


def gain_together(group: str) -> Measure:
    """Return the measure of what a group has in sum over what it has in sum in the baseline."""

    def measure(rows: pd.DataFrame, before: pd.DataFrame) -> float:
        sums = [frame.loc[frame["group"] == group, "paid"].sum() for frame in (rows, before)]
        return float(sums[0] - sums[1])

    return measure


class Race:
    """Entries that are given runs until each is decided or the runs are spent.

    All that follows from the runs is the same whatever was interrupted.

    Args:
        sample: plays variants.
        baselines: variants that entries are compared with, by name.
        entries: what races.
        judge: decides.
        first: seed of the first run; the others follow it.
    """

    def __init__(
        self,
        sample: Sample,
        baselines: Mapping[str, Mapping[str, Any]],
        entries: Sequence[Entry],
        judge: Judge,
        first: int = 0,
    ) -> None:
        self._sample, self._baselines, self._judge = sample, dict(baselines), judge
        self.findings = [Finding(entry) for entry in entries]
        self.runs = 0
        self._next = first
        self.baseline_rows: list[pd.DataFrame] = []
        """Rows of all baselines, stage by stage."""

    @property
    def open(self) -> list[Finding]:
        """Findings that are not decided, the largest upper bound first, then the largest mean."""
        undecided = [f for f in self.findings if f.verdict == "undecided" and not f.failed]
        return sorted(undecided, key=lambda f: (-f.bound.high, -_known(f.bound.mean)))

    def run(self, runs: int, seeds: int) -> None:
        """Spend at most so many runs, at first so many seeds on every entry.

        Where fewer are left than the undecided need, the last stage has fewer seeds.
        """
        step = seeds
        while self.open:
            wanted = self.open
            each = len(wanted) + len({f.entry.baseline for f in wanted})
            step = min(step, (runs - self.runs) // each)
            if step < 1:
                break
            self.stage(wanted, step)
            step = max(1, round(GROWTH * step))

    def stage(self, findings: Sequence[Finding], seeds: int) -> None:
        """Play some seeds more of some entries and of their baselines."""
        numbers = list(range(self._next, self._next + seeds))
        self._next += seeds
        used = {f.entry.baseline for f in findings}
        variants = {name: keys for name, keys in self._baselines.items() if name in used}
        variants |= {f.name: f.entry.keys for f in findings}
        rows = self._sample(variants, numbers)
        self.runs += len(variants) * seeds
        parts = dict(iter(rows.groupby(["variant", "seed"], sort=False)))
        self.baseline_rows.append(rows[rows["variant"].isin(used)])
        for finding in findings:
            for seed in numbers:
                gain = self._gain(parts, finding, seed)
                if not np.isfinite(gain):
                    finding.failed.append(seed)
                    continue
                finding.gains.append(gain)
                finding.seeds.append(seed)
            self._judge.judge(finding)

    def _gain(self, parts: Mapping[Any, pd.DataFrame], finding: Finding, seed: int) -> float:
        """Return the gain under a seed, NaN where the run of the variant failed.

        Raises `BaselineError` where that of the baseline did: nothing can be said then.
        """
        before = parts.get((finding.entry.baseline, seed))
        if before is None:
            raise BaselineError(
                f"{finding.entry.baseline}: the run of seed {seed} failed, and all gains are "
                "measured against it"
            )
        rows = parts.get((finding.name, seed))
        return float("nan") if rows is None else finding.entry.measure(rows, before)


class BaselineError(FedstakeError):
    """A run without deviations that failed."""


def _known(value: float) -> float:
    """Return a number, minus infinity for one that is not known."""
    return -np.inf if np.isnan(value) else value
