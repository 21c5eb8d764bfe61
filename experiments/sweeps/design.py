"""The design of a sweep: which factors, which levels, how they are combined."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, model_validator
from scipy.stats import qmc

Value = Any
Setting = dict[str, Value]


class Level(BaseModel):
    """One value of a factor: how it is called in tables, and the scenario keys that it sets."""

    label: Any
    settings: Setting


class Range(BaseModel):
    """A factor that is sampled: a scenario key between two bounds, or out of a list."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    low: float = 0.0
    """Smallest value."""
    high: float = 1.0
    """Largest value."""
    log: bool = False
    """Whether the logarithm is spread evenly."""
    integer: bool = False
    """Whether values are whole numbers, bounds included."""
    choices: tuple[Any, ...] = ()
    """Values to choose from, instead of bounds."""

    @model_validator(mode="after")
    def _sensible(self) -> Range:
        if not self.choices and not self.low < self.high:
            raise ValueError(f"low = {self.low:g} must be below high = {self.high:g}")
        if self.log and self.low <= 0:
            raise ValueError(f"low = {self.low:g} must be above 0 for a logarithmic range")
        return self

    def at(self, u: float) -> Value:
        """The value at u in [0, 1)."""
        if self.choices:
            return self.choices[min(int(u * len(self.choices)), len(self.choices) - 1)]
        if self.integer:
            return min(int(self.low + math.floor(u * (self.high - self.low + 1))), int(self.high))
        if self.log:
            return float(math.exp(math.log(self.low) + u * (math.log(self.high) - math.log(self.low))))
        return float(self.low + u * (self.high - self.low))


class Block(BaseModel):
    """Factors that are combined in one way. Several blocks are crossed with each other.

    grid: every combination. zip: the first levels together, the second together, ... random, sobol, latin-hypercube:
    `samples` points.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Literal["grid", "zip", "random", "sobol", "latin-hypercube"] = "grid"
    samples: Annotated[int, Field(ge=0, le=10_000_000)] = 0
    seed: Annotated[int, Field(ge=0)] = 0
    factors: dict[str, Any]

    @model_validator(mode="after")
    def _sensible(self) -> Block:
        if not self.factors:
            raise ValueError("factors: a design needs at least one")
        sampled = self.kind in ("random", "sobol", "latin-hypercube")
        if sampled and not self.samples:
            raise ValueError(f"samples = {self.samples}: a {self.kind} design needs a number of points")
        for name, given in self.factors.items():
            is_range = isinstance(given, Mapping) and (given.keys() & Range.model_fields.keys()) == given.keys() != set()
            if sampled and not is_range:
                raise ValueError(f"factors.{name}: a {self.kind} design needs {{ low, high }} or {{ choices }}")
            if sampled:
                Range.model_validate(given)
            elif is_range:
                raise ValueError(f"factors.{name}: a {self.kind} design needs a list of values, or a table of named levels")
            elif not isinstance(given, list | Mapping) or not given:
                raise ValueError(f"factors.{name}: must be a list of values, or a table of named levels")
            elif isinstance(given, Mapping) and not all(isinstance(v, Mapping) for v in given.values()):
                raise ValueError(f"factors.{name}: every named level must be a table of scenario keys")
        if self.kind == "zip" and len({len(given) for given in self.factors.values()}) > 1:
            sizes = ", ".join(f"{name} has {len(given)}" for name, given in self.factors.items())
            raise ValueError(f"factors: a zip needs as many levels of each: {sizes}")
        return self

    def points(self) -> list[dict[str, Level]]:
        """The combinations, in a fixed order."""
        names = list(self.factors)
        if self.kind in ("grid", "zip"):
            levels = [_levels(name, self.factors[name]) for name in names]
            rows = itertools.product(*levels) if self.kind == "grid" else zip(*levels, strict=True)
            return [dict(zip(names, row, strict=True)) for row in rows]
        ranges = [Range.model_validate(self.factors[name]) for name in names]
        unit = self._unit_cube(len(names))
        return [{name: _single(name, r.at(float(u))) for name, r, u in zip(names, ranges, row, strict=True)} for row in unit]

    def _unit_cube(self, dimensions: int) -> np.ndarray:
        if self.kind == "random":
            return np.random.default_rng(self.seed).random((self.samples, dimensions))
        if self.kind == "sobol":
            engine = qmc.Sobol(dimensions, seed=self.seed)
            # A balanced sequence has a power of two points; the first `samples` of the next one are taken.
            return engine.random_base2(max(0, math.ceil(math.log2(self.samples))))[: self.samples]
        return qmc.LatinHypercube(dimensions, seed=self.seed).random(self.samples)


def _levels(name: str, given: Any) -> list[Level]:
    if isinstance(given, Mapping):
        return [Level(label=label, settings=dict(settings)) for label, settings in given.items()]
    return [_single(name, value) for value in given]


def _single(name: str, value: Value) -> Level:
    return Level(label=value, settings={name: value})


def combine(blocks: Sequence[Block]) -> list[dict[str, Level]]:
    """All blocks crossed, in order; one empty point without any."""
    return [{k: v for part in parts for k, v in part.items()} for parts in itertools.product(*(b.points() for b in blocks))]
