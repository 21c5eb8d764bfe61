"""From a sweep's file to its runs."""

from __future__ import annotations

import hashlib
import json
import os
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from experiments.loader import ScenarioError, locate, read_values, validate
from experiments.sweeps.design import Block, combine
from sim.scenario import Scenario, SettingError, is_selector, override
from sim.tables import COLUMNS

FRAMES = ("rounds", "participants", "votes", "blocks", "journal", "incidents")
"""Tables whose columns stand beside factors in results."""


class Spec(BaseModel):
    """A sweep: a scenario, what is changed in all runs, what is varied, and the seeds of every cell."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,79}$")] = "sweep"
    """Label, and name of the default folder."""
    scenario: str = "digits-quick"
    """Preset or TOML file that everything starts from."""
    set: dict[str, Any] = {}
    """Dotted scenario keys and their values in all runs."""
    seeds: int | tuple[int, ...] = 1
    """Seeds of every cell, the same in all (common random numbers): how many, from 0 on, or a list."""
    design: tuple[Block, ...] = ()
    """Blocks of factors, crossed with each other."""
    scorecard: dict[str, Any] = {}
    """How `fedstake compare` reads it."""

    @field_validator("set")
    @classmethod
    def _no_seed(cls, settings: dict[str, Any]) -> dict[str, Any]:
        if "seed" in settings:
            raise ValueError("seed: give `seeds`, the same for all cells")
        return settings

    @field_validator("design")
    @classmethod
    def _names(cls, design: tuple[Block, ...]) -> tuple[Block, ...]:
        names = [name for block in design for name in block.factors]
        taken = {"run_id", "cell", "seed", "scenario", "status", "row", *(c for t in FRAMES for c in COLUMNS[t])}
        for i, name in enumerate(names):
            if name in taken:
                raise ValueError(f"factor {name!r} is the name of a column of results; call it another, as {name + '_level'!r}")
            if name in names[:i]:
                raise ValueError(f"factor {name!r} is there twice")
        return design

    @field_validator("seeds")
    @classmethod
    def _some(cls, seeds: int | tuple[int, ...]) -> int | tuple[int, ...]:
        if (isinstance(seeds, int) and seeds < 1) or seeds == ():
            raise ValueError("at least one seed is needed")
        if isinstance(seeds, tuple) and not all(0 <= s < 2**63 for s in seeds):
            raise ValueError("seeds are integers in 0..2**63 - 1")
        if isinstance(seeds, tuple) and len(set(seeds)) < len(seeds):
            raise ValueError("a seed is named twice")
        return seeds

    @property
    def seed_list(self) -> tuple[int, ...]:
        return tuple(range(self.seeds)) if isinstance(self.seeds, int) else self.seeds

    @property
    def factors(self) -> list[str]:
        """Names of all factors, in order."""
        return [name for block in self.design for name in block.factors]

    def digest(self) -> str:
        """Identity of what is asked for; how it is read (`scorecard`) and named does not matter."""
        asked = self.model_dump(mode="json", exclude={"scorecard", "name"})
        return hashlib.blake2b(json.dumps(asked, sort_keys=True).encode(), digest_size=16).hexdigest()


@dataclass(frozen=True)
class PlannedRun:
    """One run of a plan: its cell's number and labels by factor, and what to run."""

    cell: int
    labels: Mapping[str, Any]
    scenario: Scenario

    @property
    def seed(self) -> int:
        return self.scenario.seed


def load_spec(source: str | Path | Mapping[str, Any]) -> Spec:
    """A sweep from a TOML file or a table of plain values. Raises `ScenarioError`."""
    if isinstance(source, Mapping):
        return _checked(dict(source), "sweep")
    path = Path(os.path.expanduser(source))
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ScenarioError(str(source), "", None, "no such file; a sweep is described in a TOML file") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ScenarioError(str(source), "", None, f"cannot be read ({error})") from None
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise ScenarioError(str(source), "", None, f"is not TOML: {error}") from None
    locate(values, path.parent)
    base = values.get("scenario")
    if isinstance(base, str) and (path.parent / base).is_file():
        values["scenario"] = str((path.parent / base).resolve())
    return _checked(values, str(source))


def _checked(values: dict[str, Any], file: str) -> Spec:
    try:
        return Spec.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        told = first["msg"].removeprefix("Value error, ")
        if first["type"] == "extra_forbidden":
            told = f"unknown key; a sweep has {', '.join(Spec.model_fields)}"
        given = None if first["type"] == "value_error" else first.get("input")
        raise ScenarioError(file, key, given, told) from error


def plan(spec: Spec) -> list[PlannedRun]:
    """Every run of a sweep, cell by cell and seed by seed, all checked. Raises `ScenarioError`, naming the cell's levels."""
    return list(planned(spec))


def planned(spec: Spec) -> Iterator[PlannedRun]:
    """`plan`, one run after the other. Two cells that come to the same scenario are an error: one of them says too little."""
    base = base_values(spec)
    seen: dict[str, int] = {}
    cells = combine(spec.design)
    for cell, point in enumerate(cells):
        labels = {name: level.label for name, level in point.items()}
        told = ", ".join(f"{k} = {v!r}" for k, v in labels.items())
        values = json.loads(json.dumps(base))
        settings = [(key, value) for level in point.values() for key, value in level.settings.items()]
        _apply(values, settings, f"{spec.name} ({told})" if told else spec.name)
        values["seed"] = spec.seed_list[0]
        first = validate(values, f"{spec.name} ({told})" if told else spec.name)
        for seed in spec.seed_list:
            scenario = first.model_copy(update={"seed": seed})
            before = seen.setdefault(scenario.run_id(), cell)
            if before != cell:
                raise ScenarioError(spec.name, "design", told, f"is the same scenario as cell {before}; levels must differ")
            yield PlannedRun(cell, labels, scenario)


def base_values(spec: Spec) -> dict[str, Any]:
    """The scenario with what is set in all runs, as plain values."""
    values = read_values(spec.scenario)
    _apply(values, list(spec.set.items()), spec.name)
    locate(values, Path.cwd())
    return values


def _apply(values: dict[str, Any], settings: list[tuple[str, Any]], file: str) -> None:
    """Set dotted keys, those that choose a plug-in first: another one drops the parameters of the one before."""
    for key, value in sorted(settings, key=lambda item: not is_selector(item[0])):
        try:
            override(values, key, json.loads(json.dumps(value)) if isinstance(value, dict | list) else value)
        except SettingError as error:
            raise ScenarioError(file, error.key, error.value, error.expected) from error
