"""The design of a sweep: its factors, their levels, and how levels are combined."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal, TypeVar

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from experiments.loader import ScenarioError
from mechanisms.plugin import nearest
from sim.keys import SettingError, expected_of, table_of

Checked = TypeVar("Checked", bound=BaseModel)

Value = Any
Setting = dict[str, Value]
Whole = Annotated[int, Field(ge=0, strict=True)]
Bound = Annotated[float, Field(allow_inf_nan=False, strict=True)]

SAMPLED = ("random", "sobol", "latin-hypercube")
MOST_CELLS = 1_000_000
"""More are refused as a mistake: at one second each they take twelve days."""


class Level(BaseModel):
    """One value of a factor: its label in tables, and the scenario keys that it sets."""

    label: Any
    settings: Setting


class Range(BaseModel):
    """A sampled factor: a scenario key between two bounds, or out of a list."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    low: Bound | None = None
    """Smallest value."""
    high: Bound | None = None
    """Largest value."""
    log: Annotated[bool, Field(strict=True)] = False
    """Whether the logarithm is uniform instead of the value."""
    integer: Annotated[bool, Field(strict=True)] = False
    """Whether values are whole numbers, bounds included."""
    choices: tuple[Any, ...] = ()
    """Values to choose from, instead of bounds."""

    @model_validator(mode="after")
    def _sensible(self) -> Range:
        if self.choices:
            if self.model_fields_set != {"choices"}:
                raise SettingError(
                    "choices", list(self.choices), "stand alone, without low, high, log or integer"
                )
            return self
        if self.low is None or self.high is None:
            key = "low" if self.low is None else "high"
            raise SettingError(key, None, "a range needs low and high, or choices")
        if not self.low < self.high:
            raise SettingError("low", self.low, f"must be below high = {self.high:g}")
        if self.log and self.low <= 0:
            raise SettingError("low", self.low, "must be above 0 for a logarithmic range")
        for key, bound in (("low", self.low), ("high", self.high)):
            if self.integer and not bound.is_integer():
                raise SettingError(key, bound, "must be a whole number for an integer range")
        return self

    def at(self, u: float) -> Value:
        """Return the value at the quantile u in [0, 1)."""
        if self.choices:
            return self.choices[min(int(u * len(self.choices)), len(self.choices) - 1)]
        assert self.low is not None
        assert self.high is not None
        # An integer gets the part of the range that rounds down to it.
        low, high = self.low, self.high + 1 if self.integer else self.high
        if self.log:
            value = math.exp(math.log(low) + u * math.log(high / low))
        else:
            value = low + u * (high - low)
        # Rounding may lead out of the bounds.
        if self.integer:
            return min(max(math.floor(value), int(low)), int(self.high))
        return min(max(value, low), high)


class Block(BaseModel):
    """Factors whose levels are combined in one way. Several blocks are crossed with each other.

    grid: every combination. zip: the first levels together, the second together, ... random, sobol,
    latin-hypercube: `samples` points.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Literal["grid", "zip", "random", "sobol", "latin-hypercube"] = "grid"
    """How levels are combined."""
    samples: Annotated[Whole, Field(le=MOST_CELLS)] = 0
    """Points of a sampled design (random, sobol, latin-hypercube)."""
    seed: Whole = 0
    """Seed of a sampled design; the seeds of the runs are `seeds`."""
    factors: dict[str, Any]
    """Per factor: a list of values, a table of named levels, or a range to sample from."""

    @model_validator(mode="after")
    def _sensible(self) -> Block:
        if not self.factors:
            raise SettingError("factors", {}, "a design needs at least one")
        sampled = self.kind in SAMPLED
        if sampled and not self.samples:
            raise SettingError(
                "samples", self.samples, f"a {self.kind} design needs a number of points, 1 or more"
            )
        for key in ("samples", "seed"):
            if not sampled and key in self.model_fields_set:
                raise SettingError(
                    key, getattr(self, key), f"only a sampled design has it ({', '.join(SAMPLED)})"
                )
        for name, given in self.factors.items():
            self._check_factor(name, given)
        if self.kind == "zip" and len({len(given) for given in self.factors.values()}) > 1:
            sizes = {name: len(given) for name, given in self.factors.items()}
            raise SettingError("factors", sizes, "a zip needs as many levels of each factor")
        return self

    def _check_factor(self, name: str, given: Any) -> None:
        """Raise `SettingError` unless the levels of a factor suit the kind of design."""
        if self.kind in SAMPLED:
            self._check_range(f"factors.{name}", given)
        else:
            self._check_levels(f"factors.{name}", given)

    def _check_range(self, key: str, given: Any) -> None:
        if not isinstance(given, Mapping) or _are_named(given):
            raise SettingError(
                key, given, f"a {self.kind} design needs {{ low, high }} or {{ choices }}"
            )
        try:
            Range.model_validate(given)
        except ValidationError as error:
            raise first_error(error, Range, key) from None

    def _check_levels(self, key: str, given: Any) -> None:
        if isinstance(given, list) and given:
            return
        hint = ""
        if isinstance(given, Mapping):
            if _are_named(given):
                return
            if given.keys() & Range.model_fields.keys():
                hint = f"; ranges belong to {', '.join(SAMPLED)}"
        levels = "a list of values, or a table of named levels (tables of scenario keys)"
        raise SettingError(key, given, f"must be {levels}{hint}")

    def size(self) -> int:
        """Return the number of points; of a sampled design those that are drawn twice count."""
        if self.kind in SAMPLED:
            return self.samples
        sizes = [len(given) for given in self.factors.values()]
        return math.prod(sizes) if self.kind == "grid" else sizes[0]

    def points(self) -> list[dict[str, Level]]:
        """Return the combinations of levels, in a fixed order."""
        if self.kind in SAMPLED:
            return self._sample()
        levels = [_levels(name, given) for name, given in self.factors.items()]
        rows = itertools.product(*levels) if self.kind == "grid" else zip(*levels, strict=True)
        return [dict(zip(self.factors, row, strict=True)) for row in rows]

    def _sample(self) -> list[dict[str, Level]]:
        """Draw the points of a sampled design; points that are drawn twice are one."""
        ranges = {name: Range.model_validate(given) for name, given in self.factors.items()}
        points: dict[str, dict[str, Level]] = {}
        for row in self._unit_cube(len(ranges)):
            at = zip(ranges.items(), row, strict=True)
            point = {name: _single(name, r.at(float(u))) for (name, r), u in at}
            points.setdefault(repr([level.label for level in point.values()]), point)
        return list(points.values())

    def listed(self) -> dict[str, list[Any]]:
        """Return the levels of each factor; none of one that is drawn from a range."""
        sampled = self.kind in SAMPLED
        return {name: [] if sampled else list(given) for name, given in self.factors.items()}

    def keys_of_factors(self) -> list[tuple[str, set[str]]]:
        """Return every factor with the scenario keys that it sets."""
        pairs = []
        for name, given in self.factors.items():
            keys = {name}
            if isinstance(given, Mapping) and self.kind not in SAMPLED:
                keys = {key for settings in given.values() for key in settings}
            pairs.append((name, keys))
        return pairs

    def _unit_cube(self, dimensions: int) -> np.ndarray:
        """Draw the points in [0, 1)^dimensions, `float64[samples, dimensions]`."""
        if self.kind == "random":
            return np.random.default_rng(self.seed).random((self.samples, dimensions))
        from scipy.stats import qmc

        if self.kind == "sobol":
            engine = qmc.Sobol(dimensions, seed=self.seed)
            # A balanced sequence has 2^k points; the first `samples` of the next larger are taken.
            power = max(0, math.ceil(math.log2(self.samples)))
            return engine.random_base2(power)[: self.samples]
        return qmc.LatinHypercube(dimensions, seed=self.seed).random(self.samples)


def checked(model: type[Checked], values: Any, source: str) -> Checked:
    """Return the plain values of a file as a model.

    Raises `ScenarioError`, which names the file, the key, its value and what would be right.
    """
    try:
        return model.model_validate(values)
    except ValidationError as error:
        first = first_error(error, model)
        raise ScenarioError(source, first.key, first.value, first.expected) from error


def first_error(error: ValidationError, model: type[BaseModel], where: str = "") -> SettingError:
    """Return the first error of pydantic as a wrong setting.

    `model` is the model that was checked, `where` the key at which its values stand.
    """
    first = error.errors()[0]
    path = [str(part) for part in first["loc"]]
    inner = first.get("ctx", {}).get("error")
    value = None if first["type"] == "missing" else first["input"]
    if isinstance(inner, SettingError):
        path.append(inner.key)
        value, expected = inner.value, inner.expected
    elif first["type"] == "extra_forbidden":
        beside = list(_innermost(model, path).model_fields)
        expected = f"unknown key; {nearest(path[-1], beside)}"
    else:
        expected = expected_of(first)
    return SettingError(".".join(part for part in [where, *path] if part), value, expected)


def _innermost(model: type[BaseModel], path: Sequence[str]) -> type[BaseModel]:
    """Return the class of the innermost table on a path.

    A part of the path that is no key of a table is the number or the name of an entry.
    """
    table = model
    for part in path:
        field = table.model_fields.get(part)
        if field is not None:
            table = table_of(field) or table
    return table


def _are_named(given: Mapping[str, Any]) -> bool:
    """Return whether a table has named levels: tables of scenario keys, which a range never has."""
    return bool(given) and all(isinstance(settings, Mapping) for settings in given.values())


def _levels(name: str, given: Any) -> list[Level]:
    """Return the levels of a factor that is a list of values or a table of named levels."""
    if isinstance(given, Mapping):
        return [Level(label=label, settings=dict(settings)) for label, settings in given.items()]
    return [_single(name, value) for value in given]


def _single(name: str, value: Value) -> Level:
    """Return the level of a factor that is itself a scenario key."""
    return Level(label=value, settings={name: value})


def combine(blocks: Sequence[Block]) -> list[dict[str, Level]]:
    """Cross all blocks, in order; without any there is one empty point."""
    points: list[dict[str, Level]] = [{}]
    for block in blocks:
        points = [before | point for before, point in itertools.product(points, block.points())]
    return points
