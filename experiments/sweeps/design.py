"""The design of a sweep: which factors, which levels, how they are combined."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from scipy.stats import qmc

from mechanisms.plugin import nearest
from sim.keys import SettingError

Value = Any
Setting = dict[str, Value]
Whole = Annotated[int, Field(ge=0, strict=True)]
Bound = Annotated[float, Field(allow_inf_nan=False, strict=True)]

SAMPLED = ("random", "sobol", "latin-hypercube")
MOST_CELLS = 1_000_000
"""More are a slip of the pen: a second each is twelve days."""


class Level(BaseModel):
    """One value of a factor: how it is called in tables, and the scenario keys that it sets."""

    label: Any
    settings: Setting


class Range(BaseModel):
    """A factor that is sampled: a scenario key between two bounds, or out of a list."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    low: Bound | None = None
    """Smallest value."""
    high: Bound | None = None
    """Largest value."""
    log: Annotated[bool, Field(strict=True)] = False
    """Whether the logarithm is spread evenly."""
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
        """The value at u in [0, 1)."""
        if self.choices:
            return self.choices[min(int(u * len(self.choices)), len(self.choices) - 1)]
        assert self.low is not None
        assert self.high is not None
        # Whole numbers: each gets the part of the range that rounds down to it.
        low, high = self.low, self.high + 1 if self.integer else self.high
        value = (
            math.exp(math.log(low) + u * math.log(high / low))
            if self.log
            else low + u * (high - low)
        )
        return (
            min(max(math.floor(value), int(low)), int(self.high))
            if self.integer
            else min(max(value, low), high)
        )


class Block(BaseModel):
    """Factors that are combined in one way. Several blocks are crossed with each other.

    grid: every combination. zip: the first levels together, the second together, ... random, sobol, latin-hypercube:
    `samples` points.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Literal["grid", "zip", "random", "sobol", "latin-hypercube"] = "grid"
    """How levels are combined."""
    samples: Annotated[Whole, Field(le=MOST_CELLS)] = 0
    """Points of a sampled design (random, sobol, latin-hypercube)."""
    seed: Whole = 0
    """Seed of a sampled design; the runs' own seeds are `seeds`."""
    factors: dict[str, Any]
    """By factor: a list of values, a table of named levels, or a range to sample from."""

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
        key = f"factors.{name}"
        # Named levels are tables of scenario keys; the entries of a range never are tables.
        named = (
            isinstance(given, Mapping)
            and bool(given)
            and all(isinstance(v, Mapping) for v in given.values())
        )
        if self.kind in SAMPLED:
            if named or not isinstance(given, Mapping):
                raise SettingError(
                    key, given, f"a {self.kind} design needs {{ low, high }} or {{ choices }}"
                )
            try:
                Range.model_validate(given)
            except ValidationError as error:
                raise first_error(error, Range, key) from None
            return
        levels = "a list of values, or a table of named levels (tables of scenario keys)"
        if (
            not isinstance(given, list | Mapping)
            or not given
            or (isinstance(given, Mapping) and not named)
        ):
            ranges = isinstance(given, Mapping) and given.keys() & Range.model_fields.keys()
            hint = f"; ranges belong to {', '.join(SAMPLED)}" if ranges else ""
            raise SettingError(key, given, f"must be {levels}{hint}")

    def size(self) -> int:
        """How many points there are."""
        if self.kind in SAMPLED:
            return self.samples
        sizes = [len(given) for given in self.factors.values()]
        return math.prod(sizes) if self.kind == "grid" else sizes[0]

    def points(self) -> list[dict[str, Level]]:
        """The combinations, in a fixed order."""
        names = list(self.factors)
        if self.kind not in SAMPLED:
            levels = [_levels(name, self.factors[name]) for name in names]
            rows = itertools.product(*levels) if self.kind == "grid" else zip(*levels, strict=True)
            return [dict(zip(names, row, strict=True)) for row in rows]
        ranges = [Range.model_validate(self.factors[name]) for name in names]
        unit = self._unit_cube(len(names))
        return [
            {
                name: _single(name, r.at(float(u)))
                for name, r, u in zip(names, ranges, row, strict=True)
            }
            for row in unit
        ]

    def sets(self) -> list[tuple[str, set[str]]]:
        """Every factor with the scenario keys that it sets."""
        return [
            (name, {key for settings in given.values() for key in settings})
            if isinstance(given, Mapping) and self.kind not in SAMPLED
            else (name, {name})
            for name, given in self.factors.items()
        ]

    def _unit_cube(self, dimensions: int) -> np.ndarray:
        if self.kind == "random":
            return np.random.default_rng(self.seed).random((self.samples, dimensions))
        if self.kind == "sobol":
            engine = qmc.Sobol(dimensions, seed=self.seed)
            # A balanced sequence has a power of two points; the first `samples` of the next one are taken.
            return engine.random_base2(max(0, math.ceil(math.log2(self.samples))))[: self.samples]
        return qmc.LatinHypercube(dimensions, seed=self.seed).random(self.samples)


def first_error(error: ValidationError, model: type[BaseModel], where: str = "") -> SettingError:
    """The first of pydantic's findings as one wrong setting; `model` is what was checked, `where` the key of it."""
    first = error.errors()[0]
    path = [str(part) for part in first["loc"]]
    inner = first.get("ctx", {}).get("error")
    if isinstance(inner, SettingError):
        key, value, expected = [*path, inner.key], inner.value, inner.expected
    elif first["type"] == "extra_forbidden":
        known = list((Block if len(path) > 1 else model).model_fields)
        key, value, expected = path, first["input"], f"unknown key; {nearest(path[-1], known)}"
    else:
        key, value, expected = (
            path,
            first["input"],
            first["msg"].removeprefix("Value error, ").removeprefix("Input "),
        )
    return SettingError(".".join(part for part in [where, *key] if part), value, expected)


def _levels(name: str, given: Any) -> list[Level]:
    if isinstance(given, Mapping):
        return [Level(label=label, settings=dict(settings)) for label, settings in given.items()]
    return [_single(name, value) for value in given]


def _single(name: str, value: Value) -> Level:
    return Level(label=value, settings={name: value})


def combine(blocks: Sequence[Block]) -> list[dict[str, Level]]:
    """All blocks crossed, in order; one empty point without any."""
    return [
        {k: v for part in parts for k, v in part.items()}
        for parts in itertools.product(*(b.points() for b in blocks))
    ]
