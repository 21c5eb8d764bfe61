"""Races: runs go to the deviations of which it is not known yet whether they pay."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import pandas as pd

from experiments import confidence
from experiments.confidence import Bound
from experiments.trials import member_gains
from fedstake.errors import FedstakeError, InputError

Verdict = Literal["profitable", "compatible", "undecided"]
Sample = Callable[[Mapping[str, Mapping[str, Any]], Sequence[int]], pd.DataFrame]
"""Plays variants by name under seeds; rows as those of `Trials.paid`."""
Measure = Callable[[pd.DataFrame, pd.DataFrame], pd.Series]
"""Returns gains by seed from the rows of a baseline and of a variant."""

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

    def measure(before: pd.DataFrame, after: pd.DataFrame) -> pd.Series:
        return member_gains(before, after, group)

    return measure


def gain_together(group: str) -> Measure:
    """Return the measure of what a group has in sum over what it has in sum in the baseline."""

    def together(rows: pd.DataFrame) -> pd.Series:
        return rows[rows["group"] == group].groupby("seed")["paid"].sum()

    def measure(before: pd.DataFrame, after: pd.DataFrame) -> pd.Series:
        return (together(after) - together(before)).dropna()

    return measure


def gains_of(rows: pd.DataFrame, entry: Entry, variant: str, baseline: str) -> pd.Series:
    """Return by seed the gain of a variant over a baseline, both by name; rows as of a `Sample`.

    A seed in which it is not known, since a run failed, is left out.
    """
    before, after = (rows[rows["variant"] == name] for name in (baseline, variant))
    return entry.measure(before, after)


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

    @property
    def open(self) -> list[Finding]:
        """Findings that are not decided, the largest upper bound first, then the largest mean."""
        undecided = [f for f in self.findings if f.verdict == "undecided" and not f.failed]
        return sorted(undecided, key=lambda f: (-f.bound.high, -_known(f.bound.mean)))

    @property
    def cost(self) -> int:
        """Runs of one seed of all that is undecided and of its baselines; 0 without any."""
        return len(self.open) + len({f.entry.baseline for f in self.open})

    def run(self, runs: int, seeds: int) -> None:
        """Spend at most so many runs, at first so many seeds on every entry.

        Where fewer are left than the undecided need, the last stage has fewer seeds. The same race
        may be run again with more runs.
        """
        left, step = runs, seeds
        while self.open:
            step = min(step, left // self.cost)
            if step < 1:
                break
            left -= step * self.cost
            self.stage(self.open, step)
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
        self._check_baselines(rows, used, numbers)
        for finding in findings:
            gains = gains_of(rows, finding.entry, finding.name, finding.entry.baseline)
            known = [seed for seed in numbers if seed in gains.index]
            finding.gains += [float(gains[seed]) for seed in known]
            finding.seeds += known
            finding.failed += [seed for seed in numbers if seed not in gains.index]
            self._judge.judge(finding)

    def _check_baselines(self, rows: pd.DataFrame, used: set[str], seeds: Sequence[int]) -> None:
        """Raise `BaselineError` where a run of a baseline failed: nothing can be said then."""
        played = set(zip(rows["variant"], rows["seed"], strict=True))
        for baseline in sorted(used):
            for seed in seeds:
                if (baseline, seed) not in played:
                    raise BaselineError(
                        f"{baseline}: the run of seed {seed} failed, and all gains are measured "
                        "against it"
                    )


class BaselineError(FedstakeError):
    """A run without deviations that failed."""


def _known(value: float) -> float:
    """Return a number, minus infinity for one that is not known."""
    return -np.inf if np.isnan(value) else value
