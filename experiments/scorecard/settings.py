"""Settings of the scorecard: table `[scorecard]` of a sweep's file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from experiments.rundir import RunError
from mechanisms.plugin import nearest
from sim.keys import expected_of


class Fees(BaseModel):
    """Base units per call of a chain, for the cost of a round."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    update: float = 1.0
    """Per update recorded."""
    vote: float = 1.0
    """Per vote recorded."""
    block: float = 1.0
    """Per block or finalised round."""
    payment: float = 1.0
    """Per payment to or from a device."""


class Bound(BaseModel):
    """Limits of a measure; a measure that is never known (NaN) does not keep them."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    min: float | None = None
    max: float | None = None


class Objective(BaseModel):
    """The objective: the best value of one measure, among mechanisms that keep all bounds."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    measure: str
    """Column of the scorecard, or an outcome of the sweep."""
    best: Literal["max", "min"] | None = None
    """Whether larger or smaller values are better.

    By default the good direction of the measure; for a measure without one it must be given."""
    over: Literal["worst", "mean"] = "worst"
    """A mechanism's value: its worst over all adversaries and environments, or their mean."""
    bounds: dict[str, Bound] = {}
    """Measures and the limits that their worst values must keep."""

    @property
    def measures(self) -> tuple[str, ...]:
        """Names of all measures that the objective and its bounds ask for."""
        return self.measure, *self.bounds


UNSTATED = Objective(measure="advantage")
"""What mechanisms are ranked by where no objective is stated; then none of them is the winner."""


def _labels(value: Any) -> Any:
    """Return levels as text; a factor may have numbers."""
    if isinstance(value, Mapping):
        return {k: _labels(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_labels(v) for v in value]
    return str(value) if isinstance(value, int | float) else value


class ScorecardSettings(BaseModel):
    """Which factors are the mechanism and the adversary, and what is measured."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    @field_validator("honest", "deviations", "sybils", "single", mode="before")
    @classmethod
    def _as_text(cls, value: Any) -> Any:
        return _labels(value)

    mechanism: str = "payout.mechanism"
    """Factor whose levels are compared."""
    adversary: str = "attack"
    """Factor whose levels are attacks."""
    honest: str = "nobody"
    """Its level at which nobody attacks; deviations are compared with it."""
    deviations: tuple[str, ...] | None = None
    """Its levels that are deviations of devices that could be honest.

    By default all others but those of `sybils` and `single`."""
    sybils: dict[int, str] = {}
    """Levels at which one operator splits itself into k identities, by k."""
    single: dict[int, str] = {}
    """Levels at which that operator has one identity, the other k - 1 idle (`spares`), by k."""
    target_accuracy: Annotated[float, Field(gt=0, le=1)] = 0.8
    """Accuracy of the time to a target."""
    outside_option: float = 0.0
    """Utility of an honest device that does not take part, base units per run."""
    tolerance: float = 0.0
    """Largest gain of a deviation that still counts as incentive compatible, base units per run."""
    level: Annotated[float, Field(gt=0, lt=1)] = 0.95
    """Level of confidence intervals."""
    sequential: bool | None = None
    """Intervals of gains that hold at every moment, for who looked and then added seeds.

    By default where seeds were added to the sweep's folder; else Student's for a fixed design."""
    fees: Fees = Fees()
    objective: Objective | None = None
    """What the winner is best in; without it there is none."""


def resolved(s: ScorecardSettings, *, got_more_seeds: bool) -> ScorecardSettings:
    """Return settings that say which intervals gains have."""
    if s.sequential is not None:
        return s
    return s.model_copy(update={"sequential": got_more_seeds})


def read_settings(values: dict[str, Any], place: str) -> ScorecardSettings:
    """Check the table; raise `RunError` that names the key, its value and what would be right."""
    try:
        return ScorecardSettings.model_validate(values)
    except ValidationError as error:
        # A misspelt key comes before the one that is missing for it.
        first = min(error.errors(), key=lambda found: found["type"] == "missing")
        expected = expected_of(first)
        if first["type"] == "extra_forbidden":
            *path, key = first["loc"]
            expected = f"unknown key; {nearest(str(key), list(_table_at(path).model_fields))}"
        if first["type"] == "missing":
            key = ".".join(str(part) for part in ("scorecard", *first["loc"]))
            raise RunError(f"{place}: {key}: must be given") from None
        where = ".".join(str(part) for part in ("scorecard", *first["loc"]))
        raise RunError(f"{place}: {where} = {first.get('input')!r}: {expected}") from None


def _table_at(path: Sequence[int | str]) -> type[BaseModel]:
    """Return the settings of the innermost table on a path of keys."""
    tables: dict[Any, type[BaseModel]] = {"fees": Fees, "objective": Objective, "bounds": Bound}
    for key in reversed(path):
        if key in tables:
            return tables[key]
    return ScorecardSettings
