"""An audit from beginning to end: `fedstake audit`."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from experiments import confidence
from experiments.audits.curves import Point, points
from experiments.audits.deviations import Deviation, Library, library
from experiments.audits.portrait import Portrait, portrait_of
from experiments.audits.properties import Property, properties_of
from experiments.audits.question import DEVIANT, Question
from experiments.audits.race import (
    Entry,
    Finding,
    Judge,
    Race,
    Sample,
    gain_of_members,
    gain_together,
)
from experiments.audits.remedies import Remedy, remedies_of
from experiments.audits.settings import LEAST_RUNS, SELDOM, SHARES, AuditSettings, honest_seeds
from experiments.audits.smallest import Smallest, smallest_of
from experiments.audits.welfare import Welfare, welfare_of
from experiments.loader import ScenarioError
from experiments.numerals import number
from experiments.rundir import RunError, write_file
from experiments.trials import Play, Trials
from fedstake.outside import read_text
from sim.settings import HONEST as GROUP

HONEST = "nobody deviates"
FIRST = {
    "deviations": 0,
    "sybils": 100_000,
    "coalitions": 200_000,
    "search": 300_000,
    "remedies": 400_000,
    "smallest": 500_000,
    "curves": 600_000,
}
"""First seed of each part: what is chosen by one part is judged by seeds that it has not seen."""
SEEDS = 6
"""Seeds of every entry at first."""
COLUMNS = ["kind", "variant", "devices", "seeds", "gain", "gain_low", "gain_high", "verdict"]
"""Of the table of findings."""
KINDS = {"deviations": "deviation", "sybils": "sybils", "coalitions": "coalition"}
"""Kind of the findings that a claim is about."""
LEAST_SPREAD = 3
"""Gains whose standard deviation is less than epsilon / this count as that much spread."""
DOSE, OTHER_RULES = "dose", "other rules"
"""Kinds of the points of curves: in the audited scenario, and under a changed key of it."""
MOST_COALITIONS = 3
"""Deviations of which coalitions are tried: those that gain a single device most."""


@dataclass
class Audit:
    """What an audit found.

    Args:
        question: what was audited.
        settings: how.
        library: deviations that were played, and those that could not be.
        epsilon: largest gain that counts as none, base units per run.
        confidence: how the intervals were made; its alpha is that of one of them.
        findings: of every variant that was played, in the order of playing.
        properties: of the rule itself, by generated observations.
        welfare: of honest devices.
        portrait: the same by role and kind of device, and over time; None where nothing was
            simulated.
        curves: points along which one deviation was played; their gains are among the findings.
        remedies: what stops the worst deviation, and at what price.
        smallest: the smallest scenario found in which the worst finding pays.
        replayed: what the chain said of the smallest scenario; "" where it was not asked.
        runs: played for it.
        next_stage: runs of one seed more of the deviations that are undecided, or of what else is;
            0 where all is decided.
        notes: what could not be asked, and why.
        folder: of its runs, and of what is written about it.
    """

    question: Question
    settings: AuditSettings
    library: Library
    epsilon: float = math.nan
    confidence: confidence.Sequence = field(default_factory=confidence.Sequence)
    findings: list[Finding] = field(default_factory=list)
    properties: list[Property] = field(default_factory=list)
    welfare: Welfare | None = None
    portrait: Portrait | None = None
    curves: list[Point] = field(default_factory=list)
    remedies: list[Remedy] = field(default_factory=list)
    smallest: Smallest | None = None
    replayed: str = ""
    runs: int = 0
    next_stage: int = 0
    notes: list[str] = field(default_factory=list)
    folder: Path = Path()

    def of(self, kind: str) -> list[Finding]:
        """Return the findings of a kind, the largest mean gain first."""
        found = [f for f in self.findings if f.entry.kind == kind]
        return sorted(found, key=lambda f: -_number(f.bound.mean))

    def counted(self, kind: str) -> list[Finding]:
        """Return the findings that decide a kind, the largest mean gain first.

        Those of the kind, and what else counts as such: see `counts_as`.
        """
        found = [f for f in self.findings if counts_as(f.entry.kind, f.entry.size) == kind]
        return sorted(found, key=lambda f: -_number(f.bound.mean))

    def verdict(self, kind: str) -> str:
        """Return what is known of a kind; an attack that was found counts by its size."""
        return together(f.verdict for f in self.counted(kind))

    @property
    def left(self) -> int:
        """Runs that were allowed and not played."""
        return max(0, self.settings.budget - self.runs)

    @property
    def least_budget(self) -> int:
        """Runs with which every deviation is tried once, beside the look at honest devices."""
        looked = 0 if self.portrait is None else self.portrait.runs
        by_seed = looked / self.settings.honest_seeds
        once = len(self.library.playable) + 1
        return next(
            budget
            for budget in itertools.count(LEAST_RUNS)
            if once + by_seed * honest_seeds(budget) <= budget
        )

    @property
    def worst(self) -> Finding | None:
        """The finding whose gain is certainly the largest: by its lower bound; None without any."""
        profitable = [f for f in self.certified if f.verdict == "profitable"]
        among = profitable or [f for f in self.certified if f.gains]
        return max(among, key=lambda f: (f.bound.low, _number(f.bound.mean)), default=None)

    def claim(self, name: str) -> str:
        """Return what is known of a claim, of `CLAIMS`: "profitable" says that it fails."""
        if name == "rationality":
            return "not asked" if self.welfare is None else self.welfare.verdict
        if name in ("inclusion", "settlement"):
            seen = self.portrait
            faults = {} if seen is None else {"inclusion": seen.shut_out, "settlement": seen.stuck}
            fault = faults.get(name)
            return "not asked" if fault is None else fault.verdict(SELDOM)
        return self.verdict(KINDS[name])

    @property
    def failed(self) -> list[str]:
        """Claims that were made and fail."""
        return [name for name in self.settings.claims if self.claim(name) == "profitable"]

    @property
    def power(self) -> float:
        """The smallest gain by one device that these runs find at the level, base units per run.

        `epsilon` and the width of the widest interval: of a deviation that gains as much, the mean
        is at most half a width too low, and the lower bound half a width below that. Infinite where
        a deviation has had too few runs.
        """
        found = self.of("deviation")
        if any(f.failed for f in found):
            return math.inf
        return self.epsilon + max((2 * f.bound.half for f in found), default=math.inf)

    @property
    def certified(self) -> list[Finding]:
        """Findings of the audited scenario itself."""
        return [f for f in self.findings if f.entry.kind != OTHER_RULES]

    # --- frames -----------------------------------------------------------------------------

    def frame(self) -> pd.DataFrame:
        """Return a row for each variant: gain with interval, verdict, runs."""
        rows = [
            {
                "kind": f.entry.kind,
                "variant": f.name,
                "devices": f.entry.size,
                "seeds": len(f.gains),
                "gain": f.bound.mean,
                "gain_low": f.bound.low,
                "gain_high": f.bound.high,
                "verdict": f.verdict,
            }
            for f in self.findings
        ]
        found = pd.DataFrame(rows, columns=COLUMNS)
        order = ["kind", "gain"]
        return found.sort_values(order, ascending=[True, False], kind="stable", ignore_index=True)

    def leading(self, most: int) -> pd.DataFrame:
        """Return the rows of `frame` with the largest known mean gains, so many at most."""
        frame = self.frame()
        known = frame[frame["kind"] != OTHER_RULES].dropna(subset="gain")
        order = np.argsort(-known["gain"].to_numpy(float), kind="stable")
        return known.take(order[:most])

    def gains_frame(self) -> pd.DataFrame:
        """Return a row for each variant and seed: its gain."""
        rows = [
            (f.entry.kind, f.name, seed, gain)
            for f in self.findings
            for seed, gain in zip(f.seeds, f.gains, strict=True)
        ]
        return pd.DataFrame(rows, columns=["kind", "variant", "seed", "gain"])

    def identity_prices(self) -> pd.DataFrame:
        """Return per number of identities the price of one at which splitting no longer pays.

        gain of k identities / (k - 1), with the bounds of the gain; 0 where it does not pay anyway.
        """
        rows = []
        for f in self.of("sybils"):
            more = f.entry.size - 1
            ends = [max(0.0, end / more) for end in (f.bound.mean, f.bound.low, f.bound.high)]
            rows.append((f.name, f.entry.size, *ends))
        columns = ["variant", "identities", "price", "price_low", "price_high"]
        return pd.DataFrame(rows, columns=columns).sort_values("identities", ignore_index=True)


def counts_as(kind: str, size: int) -> str:
    """Return the kind with which a variant is judged: what a search found counts by its size.

    A point of a curve in the audited scenario is a deviation of one device.
    """
    if kind == DOSE:
        return "deviation"
    if kind != "search":
        return kind
    return "deviation" if size == 1 else "coalition"


def together(verdicts: Iterable[str]) -> str:
    """Return what several verdicts come to: "not asked" where there are none."""
    found = set(verdicts)
    for verdict in ("profitable", "undecided", "compatible"):
        if verdict in found:
            return verdict
    return "not asked"


def _number(value: float) -> float:
    """Return a number, minus infinity for one that is not known."""
    return -math.inf if math.isnan(value) else value


class Auditor:
    """Makes an audit, part by part.

    Args:
        question: what is audited.
        settings: how.
        sample: plays variants of the question's scenario.
        trials: the same, for the search of attacks and of a small counterexample; None: neither.
        search: whether an attack is searched for, too.
    """

    def __init__(
        self,
        question: Question,
        settings: AuditSettings,
        sample: Sample,
        trials: Trials | None = None,
        *,
        search: bool = True,
    ) -> None:
        self.audit = Audit(question, settings, library(question))
        self._sample, self._trials, self._searches = sample, trials, search
        self._spare = 0.0
        self._races: dict[str, Race] = {}

    def run(self) -> Audit:
        """Return the audit."""
        audit = self.audit
        audit.properties = properties_of(audit.question)
        sybils = self._sybil_entries()
        audit.curves = list(points(audit.question, audit.library))
        self._measure_scale()
        self._draw_portrait()
        variants = len(audit.library.playable) + len(audit.curves) + len(sybils)
        hypotheses = variants + self._coalition_sizes() + 1
        audit.confidence = self._sequence(hypotheses)
        judge = Judge(audit.confidence, audit.epsilon)
        self._deviations(judge)
        self._curves(judge)
        self._sybils(judge, sybils)
        self._coalitions(judge)
        self._search(judge)
        # What becomes profitable now is still stopped and made small.
        self._go_on(SHARES["remedies"] + SHARES["smallest"])
        self._remedies()
        self._smallest()
        self._go_on()
        self._say_what_failed()
        return audit

    # --- what is small ------------------------------------------------------------------------

    def _measure_scale(self) -> None:
        """Play honest runs: they say what counts as a gain, and how honest devices fare."""
        audit, s = self.audit, self.audit.settings
        rows = self._sample({HONEST: audit.question.honest}, self._honest_seeds)
        audit.welfare = welfare_of(rows, s.outside, s.level)
        honest = rows[rows["group"] == GROUP]
        payoff = float(honest["paid"].abs().mean()) if len(honest) else 0.0
        audit.epsilon = s.epsilon or s.tolerance * payoff
        if not audit.epsilon > 0:
            audit.notes.append("honest devices are paid nothing: a gain of 1 base unit counts")
            audit.epsilon = 1.0

    @property
    def _honest_seeds(self) -> list[int]:
        first = FIRST["deviations"]
        return list(range(first, first + self.audit.settings.honest_seeds))

    def _draw_portrait(self) -> None:
        """Look at the same runs by role and kind of device."""
        audit = self.audit
        if self._trials is None:
            return
        audit.portrait = portrait_of(
            audit.question, self._trials, self._honest_seeds, audit.settings.level
        )
        if audit.portrait is None:
            audit.notes.append("nobody is honest in the scenario: no picture of honest devices")
            return
        audit.runs += audit.portrait.runs
        self._spare -= audit.portrait.runs
        audit.notes += audit.portrait.notes

    def _sequence(self, hypotheses: int) -> confidence.Sequence:
        """Return how intervals are made, so many of them at once."""
        s = self.audit.settings
        alpha = (1 - s.level) / hypotheses
        return confidence.Sequence(alpha, s.method, self.audit.epsilon / LEAST_SPREAD, s.limits)

    def _share(self, part: str) -> int:
        """Return the runs of a part of the audit: its share, and what others have left."""
        return int(SHARES[part] * self.audit.settings.budget + self._spare)

    def _spent(self, part: str, runs: int) -> None:
        self._spare = self._share(part) - runs
        self.audit.runs += runs

    def _go_on(self, kept: float = 0.0) -> None:
        """Spend what is left of the budget, less a share of it, on what is undecided."""
        audit = self.audit
        kept_runs = math.ceil(kept * audit.settings.budget)
        for race in self._races.values():
            before = race.runs
            race.run(audit.left - kept_runs, SEEDS)
            audit.runs += race.runs - before
        self._spare = audit.left - kept_runs
        costs = (race.cost for race in self._races.values() if race.cost)
        audit.next_stage = next(costs, 0)
        known = {id(f) for f in audit.findings}
        added = [f for r in self._races.values() for f in r.findings if f.gains]
        audit.findings += [f for f in added if id(f) not in known]

    # --- parts --------------------------------------------------------------------------------

    def _deviations(self, judge: Judge) -> None:
        entries = [
            Entry(
                d.name,
                self.audit.question.variant(count=1, **d.keys),
                gain_of_members(DEVIANT),
                HONEST,
            )
            for d in self.audit.library.playable
        ]
        baselines = {HONEST: self.audit.question.honest}
        self._race("deviations", baselines, entries, judge)

    def _curves(self, judge: Judge) -> None:
        """Play each point of each curve against the same scenario in which nobody deviates."""
        baselines, entries = {}, []
        for point in self.audit.curves:
            baseline, kind = HONEST, DOSE
            if not point.inside:
                baseline, kind = f"{HONEST}, {point.name}", OTHER_RULES
            baselines[baseline] = point.honest
            measure = gain_of_members(DEVIANT)
            entries.append(Entry(point.name, point.keys, measure, baseline, kind))
        self._race("curves", baselines, entries, judge)

    def _race(
        self,
        part: str,
        baselines: Mapping[str, Mapping[str, Any]],
        entries: Sequence[Entry],
        judge: Judge,
    ) -> None:
        if not entries:
            self._spent(part, 0)
            return
        race = self._races[part] = Race(self._sample, baselines, entries, judge, FIRST[part])
        runs = self._share(part)
        if part == "deviations":
            # Each is tried once before anything else is, if the budget has runs for that.
            runs = max(runs, min(race.cost, self.audit.left))
        race.run(runs, SEEDS)
        self.audit.findings += [f for f in race.findings if f.gains]
        self._spent(part, race.runs)

    def _say_what_failed(self) -> None:
        """Note the runs that failed, and what was never played."""
        notes = self.audit.notes
        for part, race in self._races.items():
            for f in race.findings:
                if f.failed:
                    seeds = ", ".join(map(str, f.failed[:5]))
                    notes.append(f"{f.name}: its run failed under seed {seeds}: undecided")
            unplayed = [f.name for f in race.findings if not f.gains and not f.failed]
            if unplayed:
                names = ", ".join(unplayed)
                notes.append(f"{part}: the budget was spent before {names} could be played")

    def _sybil_entries(self) -> list[tuple[int, str]]:
        """Return the numbers of identities that can be played, and how data are dealt to them."""
        audit = self.audit
        if not {"identities", "spares"} <= audit.question.group.model_fields.keys():
            audit.notes.append("sybils: participants of this protocol have no identities to split")
            return []
        found = []
        for k in audit.settings.identities:
            for how in ("split", "duplicate"):
                try:
                    audit.question.variant(count=k, identities=how)
                    audit.question.variant(count=k, spares=k - 1)
                except ScenarioError as error:
                    audit.notes.append(f"sybils, {k} identities: {error}")
                else:
                    found.append((k, how))
        return found

    def _sybils(self, judge: Judge, kinds: Sequence[tuple[int, str]]) -> None:
        """Compare k identities of an operator with the same operator as one."""
        question = self.audit.question
        entries, baselines = [], {}
        for k, how in kinds:
            alone = f"one of {k}"
            baselines[alone] = question.variant(count=k, spares=k - 1)
            keys = question.variant(count=k, identities=how)
            word = {"split": "data split", "duplicate": "data copied"}[how]
            measure = gain_together(DEVIANT)
            entries.append(Entry(f"{k} identities, {word}", keys, measure, alone, "sybils", k))
        self._race("sybils", baselines, entries, judge)

    def _coalition_sizes(self) -> int:
        """Return how many coalitions are tried at most."""
        return MOST_COALITIONS * max(0, self.audit.settings.coalition - 1)

    def _promising(self) -> list[Deviation]:
        """Return the deviations that gain one device most: the best one in each role."""
        playable = {d.name: d for d in self.audit.library.playable}
        best: dict[frozenset[str], Deviation] = {}
        for finding in self.audit.of("deviation"):
            deviation = playable[finding.name]
            best.setdefault(frozenset(deviation.keys), deviation)
        return list(best.values())[:MOST_COALITIONS]

    def _coalitions(self, judge: Judge) -> None:
        """Let those deviations that gain one device most be played by several."""
        question, best = self.audit.question, self._promising()
        entries = []
        for d in best:
            for size in range(2, self.audit.settings.coalition + 1):
                entry = self._coalition(question, d, size)
                if entry is not None:
                    entries.append(entry)
        self._race("coalitions", {HONEST: question.honest}, entries, judge)

    def _coalition(self, question: Question, deviation: Deviation, size: int) -> Entry | None:
        try:
            keys = question.variant(count=size, **deviation.keys)
        except ScenarioError as error:
            self.audit.notes.append(f"{size} devices with {deviation.name}: {error}")
            return None
        name = f"{size} x {deviation.name}"
        return Entry(name, keys, gain_of_members(DEVIANT), HONEST, "coalition", size)

    def _search(self, judge: Judge) -> None:
        """Search the worst attack, and score it again on seeds that the search has not seen."""
        if self._trials is None or not self._searches:
            return
        from experiments.search.attack import worst_attack

        question, runs = self.audit.question, self._share("search")
        first, before = FIRST["search"], self._trials.runs
        found = worst_attack(
            self._trials,
            honest=question.honest,
            group_class=question.group,
            base_groups=question.groups,
            beside=question.provoked,
            most=self.audit.settings.coalition,
            runs=runs,
            seeds=range(first, first + 2),
            fresh=range(first + 100, first + 100 + SEEDS),
            sequence=judge.sequence,
            name=DEVIANT,
        )
        self._spent("search", self._trials.runs - before)
        if found is None or len(found.fresh) < SEEDS:
            self.audit.notes.append(
                f"search: no attack could be scored within {runs} runs: too few, or runs failed"
            )
            return
        size = int(found.group.get("count", 1))
        name = "found by search"
        entry = Entry(name, found.variant, gain_of_members(DEVIANT), HONEST, "search", size)
        finding = Finding(entry, list(found.fresh))
        finding.seeds = list(range(first + 100, first + 100 + len(found.fresh)))
        judge.judge(finding)
        self.audit.findings.append(finding)
        self.audit.notes.append(
            f"search: {found.trials} trials; gain in the search {number(found.in_search, 0)}, on "
            f"fresh seeds {number(finding.bound.mean, 0)} base units"
        )

    def _remedies(self) -> None:
        """Search what stops the deviation of one device that gains most."""
        profitable = [f for f in self.audit.of("deviation") if f.verdict == "profitable"]
        if not profitable:
            return
        runs = self._share("remedies")
        self.audit.remedies, played = remedies_of(
            self.audit.question,
            profitable[0],
            self._sample,
            self.audit.epsilon,
            runs,
            FIRST["remedies"],
        )
        self._spent("remedies", played)

    def _smallest(self) -> None:
        """Shrink the scenario as long as the worst finding pays in it."""
        worst = self.audit.worst
        if worst is None or worst.verdict != "profitable" or self._trials is None:
            return
        runs = self._share("smallest")
        self.audit.smallest, played = smallest_of(
            self.audit.question, worst, self._baseline(worst), self._trials, runs, FIRST["smallest"]
        )
        self._spent("smallest", played)

    def _baseline(self, finding: Finding) -> Mapping[str, Any]:
        """Return the variant that a finding was compared with."""
        if finding.entry.baseline == HONEST:
            return self.audit.question.honest
        k = finding.entry.size
        return self.audit.question.variant(count=k, spares=k - 1)


def audit(
    question: Question, settings: AuditSettings, folder: Path, play: Play, *, search: bool = True
) -> Audit:
    """Make an audit whose runs lie in a folder; the same call goes on after a crash.

    Args:
        question: what is audited.
        settings: how.
        folder: of the runs; `scenario.toml` is written there.
        play: plays a sweep.
        search: whether an attack is searched for, too.
    """
    folder.mkdir(parents=True, exist_ok=True)
    base = folder / "scenario.toml"
    text = question.text()
    if base.is_file() and read_text(base) != text:
        raise RunError(
            f"{folder}: holds the audit of another rule or scenario; choose another --out"
        )
    write_file(base, text)
    trials = Trials("audit", str(base), {}, folder / "runs", play)

    def sample(variants: Mapping[str, Mapping[str, Any]], seeds: Sequence[int]) -> pd.DataFrame:
        """Play variants; what fails is left out, and the race says so."""
        return trials.paid_in(trials.played(variants, seeds))

    made = Auditor(question, settings, sample, trials, search=search).run()
    made.folder = folder
    return made


__all__ = ["Audit", "Auditor", "audit"]
