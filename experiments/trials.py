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
from experiments.results import Results, sql_name
from experiments.sweeps.drive import Sweep
from experiments.sweeps.plan import Spec, plan, spec_of
from sim.scenario import Scenario

PAID = """
    select p.variant, p.seed, d.device, d."group", d.adversary, d.paid
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
        failed = results.failures()
        if len(failed):
            first = failed.iloc[0]
            raise ScenarioError(
                self.name, "variant", first["variant"], f"a run failed: {first['error']}"
            )
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
        known = results.columns.get("participants", {})
        if self.measure not in known:
            expected = f"a column of table participants: {', '.join(sorted(known))}"
            raise ScenarioError(self.name, "measure", self.measure, expected)
        paid = results.sql(PAID.format(column=sql_name(self.measure)), ["participants"])
        for column in ("variant", "group"):
            paid[column] = paid[column].astype(str)
        return paid
