"""Variants against each other, paired by seed and device; no variant is played twice."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import pandas as pd

from experiments.loader import ScenarioError
from experiments.results import Results
from experiments.trials import Trials, Variant, member_gains

Seeds = tuple[int, ...]


@dataclass(frozen=True)
class Record:
    """What a variant gave under some seeds.

    Args:
        paid: a row for each seed and device: `group` and `paid`.
        outcomes: a row for each seed, indexed by it.
        failed: error of the first run that failed, "" where none did.
    """

    paid: pd.DataFrame = field(default_factory=pd.DataFrame)
    outcomes: pd.DataFrame = field(default_factory=pd.DataFrame)
    failed: str = ""


@dataclass(frozen=True)
class Duel:
    """A group that deviates, and the same scenario in which it does not.

    Args:
        honest: variant without the group.
        attack: variant with it.
        group: its name.
    """

    honest: Variant
    attack: Variant
    group: str


class Arena:
    """Plays variants and says what groups gain.

    Args:
        trials: plays them.
        outcome: what a group wants to be small, as an outcome of the protocol; "": a group wants
            its members to be paid, as `trials.measure` has it.
    """

    def __init__(self, trials: Trials, outcome: str = "") -> None:
        self.trials, self.outcome = trials, outcome
        self.runs = 0
        """Runs asked for."""
        self._keys: dict[str, str] = {}
        self._known: dict[tuple[str, Seeds], Record] = {}

    def refusal(self, variant: Variant) -> ScenarioError | None:
        """Return why a variant cannot be played; None where it can."""
        try:
            self.key(variant)
        except ScenarioError as error:
            return error
        return None

    def key(self, variant: Variant) -> str:
        """Return the identity of a variant; raise `ScenarioError` where it cannot be played."""
        text = json.dumps(dict(variant), sort_keys=True, default=str)
        if text not in self._keys:
            self._keys[text] = self.trials.scenario_of(variant).run_id()
        return self._keys[text]

    def missing(self, variants: Iterable[Variant], seeds: Sequence[int]) -> dict[str, Variant]:
        """Return by identity the variants that have not been played under some seeds."""
        found = {self.key(variant): variant for variant in variants}
        return {key: v for key, v in found.items() if (key, tuple(seeds)) not in self._known}

    def play(self, variants: Iterable[Variant], seeds: Sequence[int]) -> None:
        """Play the variants that have not been played under some seeds, in one stage."""
        missing = self.missing(variants, seeds)
        if not missing:
            return
        names = {f"v{i:03d}": key for i, key in enumerate(missing)}
        asked = {name: missing[key] for name, key in names.items()}
        self.runs += len(asked) * len(seeds)
        results = self.trials.played(asked, seeds)
        for name, record in self._read(results, list(names)).items():
            self._known[names[name], tuple(seeds)] = record

    def _read(self, results: Results, names: list[str]) -> dict[str, Record]:
        failures = results.failures()
        failed = dict(zip(failures["variant"].astype(str), failures["error"], strict=True))
        if len(failures) == len(results.runs()):
            return {name: Record(failed=str(failed[name])) for name in names}
        paid = self.trials.paid_in(results)
        outcomes = results.outcomes()
        outcomes["variant"] = outcomes["variant"].astype(str)
        records = {}
        for name in names:
            records[name] = Record(
                paid[paid["variant"] == name],
                outcomes[outcomes["variant"] == name].set_index("seed").sort_index(),
                str(failed.get(name, "")),
            )
        return records

    def record(self, variant: Variant, seeds: Sequence[int]) -> Record:
        """Return what a variant gave that has been played under these seeds."""
        return self._known[self.key(variant), tuple(seeds)]

    def outcomes(self, variant: Variant, seeds: Sequence[int], name: str) -> pd.Series:
        """Return an outcome by seed; raise `ScenarioError` where there is no such outcome."""
        record = self.record(variant, seeds)
        self._check(record, variant)
        if name not in record.outcomes:
            known = sorted(map(str, set(record.outcomes) - {"run_id", "cell", "variant"}))
            expected = f"must be an outcome: {', '.join(known)}"
            raise ScenarioError(self.trials.name, "outcome", name, expected)
        return record.outcomes[name].astype(float)

    def gains(self, duel: Duel, seeds: Sequence[int]) -> pd.Series | None:
        """Return by seed what a group gains, both of whose variants have been played.

        That is the mean over its members of what each is paid more than the same device in the
        variant without the group; or how much smaller the outcome is that the group wants to be
        small. A seed in which it is not known is left out. None where a run with the group failed.

        Raises `ScenarioError` for a run without the group that failed.
        """
        before, after = self.record(duel.honest, seeds), self.record(duel.attack, seeds)
        self._check(before, duel.honest)
        if after.failed:
            return None
        if self.outcome:
            low = self.outcomes(duel.attack, seeds, self.outcome)
            high = self.outcomes(duel.honest, seeds, self.outcome)
            return (high - low).dropna()
        return member_gains(before.paid, after.paid, duel.group)

    def _check(self, record: Record, variant: Variant) -> None:
        if record.failed:
            expected = f"a run failed: {record.failed}"
            raise ScenarioError(self.trials.name, "variant", dict(variant), expected)
