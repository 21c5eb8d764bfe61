"""How a sweep is read as a comparison of mechanisms: table `[scorecard]` of its file."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from experiments.rundir import RunError
from mechanisms.plugin import nearest


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
    """Limits of a measure; what is not known (NaN) does not meet them."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    min: float | None = None
    max: float | None = None


class Objective(BaseModel):
    """What the winner is: the best value of one measure among the mechanisms that meet all bounds."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    measure: str = "accuracy"
    """Column of the scorecard."""
    best: Literal["max", "min"] = "max"
    """Whether more or less is better."""
    over: Literal["worst", "mean"] = "worst"
    """A mechanism's value: its worst over all adversaries and environments, or their mean."""
    bounds: dict[str, Bound] = {}
    """Columns and the limits that their worst values must keep."""


def _labels(value: Any) -> Any:
    """Levels as text: a factor may have numbers."""
    if isinstance(value, Mapping):
        return {k: _labels(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_labels(v) for v in value]
    return str(value) if isinstance(value, int | float) else value


class ScorecardSettings(BaseModel):
    """Which factor is what, and what counts."""

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
    """Its level at which nobody attacks: what deviations are compared with."""
    deviations: tuple[str, ...] | None = None
    """Its levels that are deviations of devices that could be honest (default: all others but those of `sybils`)."""
    sybils: dict[int, str] = {}
    """Levels at which one operator splits itself into k identities, by k."""
    single: dict[int, str] = {}
    """Levels at which that operator plays as one, its other k - 1 identities idle (`spares`), by k."""
    target_accuracy: Annotated[float, Field(gt=0, le=1)] = 0.8
    """For the time to a target."""
    outside_option: float = 0.0
    """Utility of an honest device that takes no part, base units per run."""
    tolerance: float = 0.0
    """Gain of a deviation that is still called incentive compatible, base units per run."""
    level: Annotated[float, Field(gt=0, lt=1)] = 0.95
    """Of confidence intervals."""
    fees: Fees = Fees()
    objective: Objective = Objective()


def read_settings(values: dict[str, Any], place: str) -> ScorecardSettings:
    """Check the table; `RunError` names the key and what would be right."""
    try:
        return ScorecardSettings.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in ("scorecard", *first["loc"]))
        told = first["msg"].removeprefix("Value error, ")
        if first["type"] == "extra_forbidden":
            inside: dict[Any, type[BaseModel]] = {
                "fees": Fees,
                "objective": Objective,
                "bounds": Bound,
            }
            owner = next(
                (inside[p] for p in reversed(first["loc"][:-1]) if p in inside), ScorecardSettings
            )
            told = f"unknown key; {nearest(str(first['loc'][-1]), list(owner.model_fields))}"
        raise RunError(f"{place}: {key} = {first.get('input')!r}: {told}") from None
