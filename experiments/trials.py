"""Variants of one scenario, played in stages: what each device was paid, and nothing twice.

Games, audits and searches ask for runs, look at what they gave, and ask for more. Each asking is a
sweep in a folder of its own; which runs are asked for follows from the results alone, so that the
same command goes on after a crash.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from experiments.loader import ScenarioError
from experiments.progress import Progress, counted
from experiments.results import Results, sql_name
from experiments.sweeps.drive import Sweep
from experiments.sweeps.plan import Spec, plan, spec_of
from sim.keys import SettingError
from sim.scenario import Scenario

PAID = """
    select p.{factor} as {factor}, p.seed, d.device, d."group", d.adversary, d.paid
    from (
        select run_id, device, any_value("group") as "group", bool_or(adversary) as adversary,
               sum({column})::double as paid
        from participants group by run_id, device
    ) d join p using (run_id)
    order by all
"""
"""What each device was paid in each run."""

Variant = Mapping[str, Any]
"""Dotted scenario keys and their values."""
Play = Callable[[Sweep], None]
"""Plays the missing runs of a sweep."""
Refusal = ScenarioError | SettingError
"""Why a variant cannot be played: it names the key."""


def player(
    *,
    workers: int | None = None,
    data: str | Path | None = None,
    progress: Progress = None,
    label: str = "",
) -> Play:
    """Return what plays a sweep and shows how many of its runs have ended.

    Args:
        workers: processes (default: all cores).
        data: folder of data files.
        progress: see `Progress`.
        label: what the task is called (default: the sweep's name).
    """

    def play(sweep: Sweep) -> None:
        named = label or sweep.spec.name
        with (
            sweep.ready(),
            counted(named, len(sweep.todo), sweep.forecast(), progress) as on_receipt,
        ):
            sweep.play(workers=workers, data=data, on_receipt=on_receipt)

    return play


def groups_in_play(scenario: Scenario) -> list[dict[str, Any]]:
    """Return the groups of a scenario that have members, as plain values."""
    groups = scenario.to_dict()["adversaries"]
    return [group for group in groups if group["count"] or group["devices"]]


def acting(
    variant: Variant, beside: Variant, refusal: Callable[[Variant], Refusal | None]
) -> dict[str, Any]:
    """Return a variant with further keys, less those that are refused beside it.

    A key is refused where another key switches it off, or where it is not allowed beside the rest.

    Args:
        variant: what is played.
        beside: the further keys.
        refusal: returns why a variant cannot be played, None where it can.

    Raises what `refusal` returns where the variant itself is refused.
    """
    left = dict(beside)
    while True:
        whole = {**variant, **left}
        error = refusal(whole)
        if error is None:
            return whole
        refused = [key for key in left if error.key == key or error.key.startswith(f"{key}.")]
        if not refused:
            raise error
        left = {key: value for key, value in left.items() if key not in refused}


def member_gains(before: pd.DataFrame, after: pd.DataFrame, group: str) -> pd.Series:
    """Return by seed the mean over a group's members of what each has more after than before.

    Both frames have a row for each seed and device, with `group` and `paid`. A seed in which it is
    not known is left out.
    """
    members = after[after["group"] == group].set_index(["seed", "device"])["paid"]
    same = before.set_index(["seed", "device"])["paid"].reindex(members.index)
    each = members.astype(float) - same.astype(float)
    return each.groupby("seed").mean().dropna()


def check_played(results: Results, factor: str, name: str) -> None:
    """Raise `ScenarioError` where a run of a stage failed."""
    failed = results.failures()
    if len(failed):
        first = failed.iloc[0]
        raise ScenarioError(name, factor, first[factor], f"a run failed: {first['error']}")


def paid_by_device(
    results: Results, factor: str, measure: str, name: str, key: str = "measure"
) -> pd.DataFrame:
    """Return a row for each level of a factor, seed and device: `group`, `adversary` and `paid`.

    `measure` is a column of table `participants`, summed over the rounds. Raises `ScenarioError`,
    which names the file and key, where there is no such column.
    """
    known = results.columns.get("participants", {})
    if measure not in known:
        expected = f"a column of table participants: {', '.join(sorted(known))}"
        raise ScenarioError(name, key, measure, expected)
    query = PAID.format(factor=sql_name(factor), column=sql_name(measure))
    paid = results.sql(query, ["participants"])
    for column in (factor, "group"):
        paid[column] = paid[column].astype(str)
    return paid


def _digest(spec: Spec) -> str:
    """Return 16 digits that stand for what a stage plays, its number aside."""
    values = spec.model_dump(mode="json", exclude={"name"})
    text = json.dumps(values, sort_keys=True, default=str)
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


class Trials:
    """Variants of a scenario under seeds.

    Args:
        name: of the sweeps; errors name it.
        scenario: preset or TOML file.
        common: dotted keys and values of all variants.
        folder: of the stages.
        play: plays a sweep.
        measure: column of table `participants` that is summed over the rounds.
        reuse: folders whose finished runs are taken over.
    """

    def __init__(
        self,
        name: str,
        scenario: str,
        common: Variant,
        folder: Path,
        play: Play,
        measure: str = "utility",
        reuse: Iterable[Path] = (),
    ) -> None:
        self.name, self.scenario, self.common = name, scenario, dict(common)
        self.folder, self.play, self.measure = folder, play, measure
        self.stages = 0
        self.runs = 0
        """Runs asked for so far."""
        self._places: list[Path] = list(reuse)

    def spec(self, variants: Mapping[str, Variant], seeds: Iterable[int]) -> Any:
        """Return the sweep over variants by name and seeds."""
        values = {
            "name": f"{self.name}-{self.stages:03d}",
            "scenario": self.scenario,
            "set": self.common,
            "seeds": list(seeds),
            "design": [{"factors": {"variant": {k: dict(v) for k, v in variants.items()}}}],
        }
        return spec_of(values, self.name)

    def scenario_of(self, variant: Variant) -> Scenario:
        """Return one variant as a scenario; raise `ScenarioError` where it cannot be played."""
        return plan(self.spec({"it": variant}, [0]))[0].scenario

    def paid(self, variants: Mapping[str, Variant], seeds: Iterable[int]) -> pd.DataFrame:
        """Return a row for each variant, seed and device: `group`, `adversary` and `paid`.

        Raises `ScenarioError` for a run that failed, and for a measure that there is not.
        """
        results = self.played(variants, seeds)
        check_played(results, "variant", self.name)
        return self.paid_in(results)

    def played(self, variants: Mapping[str, Variant], seeds: Iterable[int]) -> Results:
        """Play variants under seeds and return the results, those that failed among them."""
        wanted = list(seeds)
        self.stages += 1
        spec = self.spec(variants, wanted)
        place = self.folder / f"stage-{_digest(spec)}"
        sweep = Sweep(spec, place, reuse=[p for p in self._places if p != place])
        self.play(sweep)
        self.runs += len(sweep.runs)
        results = Results.open(place)
        if len(results.failures()) < len(sweep.runs):
            # A folder in which every run failed has nothing to take over.
            self._places.append(place)
        return results

    def paid_in(self, results: Results) -> pd.DataFrame:
        """Return what `paid` does, of the runs of a stage that did not fail.

        Raises `ScenarioError` for a measure that there is not.
        """
        return paid_by_device(results, "variant", self.measure, self.name)
