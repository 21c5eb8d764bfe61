"""A claim about incentives: who says it, what would have to be measured, and what is measured.

A claim is a TOML file (`results/claims`). It names variants of a scenario, a value of each run, and
the limits within which the mean of that value lies if the claim holds.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, model_validator

from experiments.confidence import Bound, Float64, student
from experiments.foreign import check_names
from experiments.loader import ScenarioError, locate, preset_names, toml_values
from experiments.outcomes import SECONDS
from experiments.results import Results, RunError, sql_name
from experiments.sweeps.design import checked
from experiments.trials import Play, Trials, check_played
from fedstake.errors import InputError

FOLDER = Path(__file__).parents[2] / "results" / "claims"
"""Claims that are shipped."""
LEAST_SEEDS, MOST_SEEDS = 3, 200
MARK = "says"
"""Key that tells the file of a claim from that of a certificate."""
QUERY = """
    select p.variant, p.seed, ({value})::double as value
    from (select * from {table}) join p using (run_id)
    group by p.variant, p.seed order by p.variant, p.seed
"""
Text = Annotated[str, Field(min_length=1, max_length=500)]
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9 ._-]{0,39}$")]
Limit = Annotated[float, Field(strict=True, allow_inf_nan=False)]
Verdict = Literal["holds", "fails", "undecided"]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Within(_Part):
    """Limits of the measured mean, in the unit of the measure."""

    min: Limit | None = None
    max: Limit | None = None

    @model_validator(mode="after")
    def _some(self) -> Within:
        if self.min is None and self.max is None:
            raise ValueError("give min or max")
        if self.min is not None and self.max is not None and self.min > self.max:
            raise ValueError(f"min = {self.min:g} is above max = {self.max:g}")
        return self

    def __str__(self) -> str:
        if self.min is None:
            return f"at most {self.max:g}"
        if self.max is None:
            return f"at least {self.min:g}"
        return f"{self.min:g} to {self.max:g}"

    def verdict(self, bound: Bound) -> Verdict:
        """Return whether a whole interval lies within the limits, outside of them, or neither."""
        low = -math.inf if self.min is None else self.min
        high = math.inf if self.max is None else self.max
        if low <= bound.low and bound.high <= high:
            return "holds"
        return "fails" if bound.high < low or high < bound.low else "undecided"


class Measure(_Part):
    """The value of a run: an SQL aggregate over the rows of one of its tables."""

    table: Name
    value: Text
    of: Name
    """Variant whose runs are measured."""
    less: Name | None = None
    """Variant whose value under the same seed is subtracted."""
    unit: Text
    within: Within


class Played(_Part):
    """What is played: variants of a scenario, each under the same seeds."""

    scenario: Text
    seeds: Annotated[int, Field(ge=LEAST_SEEDS, le=MOST_SEEDS)] = 8
    set: dict[str, Any] = {}
    variants: Annotated[dict[Name, dict[str, Any]], Field(min_length=1, max_length=20)]


class Claim(_Part):
    """A claim, as its file holds it."""

    format: Literal[1]
    says: Text
    """The claim in one sentence."""
    who: Text
    source: Text
    """Paper, section, equation; or the document and its part."""
    claimed: Text
    """What the source states of what is measured, in its words or numbers."""
    rules: Annotated[tuple[Text, ...], Field(min_length=1)]
    """Names of the rules that it is about."""
    play: Played
    measure: Measure
    note: str = ""

    @model_validator(mode="after")
    def _known_variants(self) -> Claim:
        for variant in (self.measure.of, self.measure.less):
            if variant is not None and variant not in self.play.variants:
                known = ", ".join(self.play.variants)
                raise ValueError(f"measure names variant {variant!r}; there are {known}")
        return self


@dataclass(frozen=True)
class Measured:
    """What came out.

    Args:
        bound: mean over seeds with its 95 % interval (Student; the number of seeds is fixed).
        verdict: whether the whole interval is within the claim's limits.
        seeds: how many were played.
    """

    bound: Bound
    verdict: Verdict
    seeds: int


def read(source: str | Path) -> Claim:
    """Read a claim; raise `ScenarioError`, which names file, key and value, for a wrong file."""
    path = Path(source)
    values = toml_values(path, str(source), "no such file; results/claims has those shipped")
    return checked(Claim, values, str(source))


def is_claim(source: str | Path) -> bool:
    """Return whether a TOML file is that of a claim, not of a certificate."""
    missing = "no such file; fedstake audit writes certificates, results/claims has claims"
    return MARK in toml_values(Path(source), str(source), missing)


def shipped() -> Mapping[str, Claim]:
    """Return the claims of the register by the names of their files."""
    return {file.stem: read(file) for file in sorted(FOLDER.glob("*.toml"))}


def measure(
    claim: Claim, source: str | Path, folder: Path, play: Play, *, trust: bool = False
) -> Measured:
    """Play a claim and return what came out.

    Args:
        claim: may come from anybody: its value is read in a database that sees its runs alone.
        source: its file; errors name it.
        folder: of the runs; what is there is not played again.
        play: plays a sweep.
        trust: the user says that files that it names may be used.

    Raises `InputError` for a file that it names without `trust`, `ScenarioError` for what cannot be
    played, `RunError` for a value that cannot be read.
    """
    asked, name = claim.measure, str(source)
    claim = claim.model_copy(deep=True)
    tables = [claim.play.set, *claim.play.variants.values()]
    if not trust:
        check_names(tables, name)
        _check_preset(claim.play.scenario, name)
    for table in tables:
        locate(table, Path(source).parent)
    wanted = {v: keys for v, keys in claim.play.variants.items() if v in (asked.of, asked.less)}
    trials = Trials("claim", claim.play.scenario, claim.play.set, folder, play)
    results = trials.played(wanted, range(claim.play.seeds))
    check_played(results, "variant", name)
    values = _values(results, asked, name)
    gains = values[asked.of]
    if asked.less is not None:
        gains = gains - values[asked.less]
    bound = student(gains)
    return Measured(bound, asked.within.verdict(bound), len(gains))


def _check_preset(scenario: str, name: str) -> None:
    """Raise `InputError` for a scenario that is no preset: a file may name anything."""
    if scenario not in preset_names():
        raise InputError(
            f"{name}: play.scenario = {scenario!r}: is no preset; a file is played only with "
            "--trust"
        )


def _values(results: Results, asked: Measure, name: str) -> dict[str, Float64]:
    """Return by variant the value of each run, in the order of seeds.

    Raises `ScenarioError` where a value is not known.
    """
    if asked.table not in results.columns:
        expected = f"a table of these runs: {', '.join(sorted(results.columns))}"
        raise ScenarioError(name, "measure.table", asked.table, expected)
    query = QUERY.format(value=asked.value, table=sql_name(asked.table))
    try:
        found = results.sql(query, [asked.table], seconds=SECONDS)
    except RunError as error:
        reason = str(error).removeprefix(f"{results.folder}: ")
        expected = f"an SQL aggregate over the rows of {asked.table} ({reason})"
        raise ScenarioError(name, "measure.value", asked.value, expected) from error
    known = np.isfinite(found["value"].to_numpy(np.float64, na_value=np.nan))
    if len(found) < len(results.runs()) or not known.all():
        expected = "a number in every run; in some of these it is none"
        raise ScenarioError(name, "measure.value", asked.value, expected)
    by_variant = found.groupby("variant")["value"]
    return {str(variant): part.to_numpy(np.float64) for variant, part in by_variant}
