"""From a sweep's file to its runs."""

from __future__ import annotations

import copy
import hashlib
import json
import math
import os
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    PrivateAttr,
    ValidationError,
    field_validator,
    model_validator,
)

from experiments.loader import ScenarioError, locate, read_values, validate
from experiments.rundir import RunError
from experiments.scorecard.settings import read_settings
from experiments.sweeps.design import MOST_CELLS, Block, combine, first_error
from sim.scenario import Scenario, SettingError, is_selector, override

RUN_COLUMNS = (
    "run_id", "cell", "seed", "scenario", "row", "runs", "status", "wall_s", "cpu_s", "bytes", "stage", "error", "traceback",
)  # fmt: skip
"""Columns of frames beside the factors."""

CORE_OUTCOMES = (
    "simulated_s", "issued", "burned",
    "honest_utility", "honest_income", "adversary_utility", "adversary_income",
)  # fmt: skip
"""Outcomes that every run has, whatever its protocol."""

OUTCOMES = (
    *CORE_OUTCOMES, "accuracy", "best_accuracy", "mean_accuracy", "attack_success",
    "accepted_honest", "rejected_honest", "accepted_adversary", "rejected_adversary",
    "forked", "block_time_s",
)  # fmt: skip
"""Outcomes of a run, columns of `Results.outcomes`: the core ones and those of the protocols."""

TAKEN = frozenset(RUN_COLUMNS) | frozenset(OUTCOMES)
"""Names that no factor may have."""


class Spec(BaseModel):
    """A sweep: a scenario, what is changed in all runs, what is varied, and the seeds of every cell."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,79}$")] = "sweep"
    """Label, and name of the default folder."""
    scenario: str = "digits-quick"
    """Preset or TOML file that everything starts from; a file is looked for beside the sweep first."""
    set: dict[str, Any] = {}
    """Dotted scenario keys and their values in all runs."""
    seeds: int | tuple[int, ...] = 1
    """Seeds of every cell, the same in all (common random numbers): how many, from 0 on, or a list."""
    design: tuple[Block, ...] = ()
    """Blocks of factors, crossed with each other."""
    scorecard: dict[str, Any] = {}
    """How `fedstake compare` reads it."""

    _file: str = PrivateAttr("sweep")

    @property
    def file(self) -> str:
        """Where it was read from; errors name it."""
        return self._file

    @field_validator("set")
    @classmethod
    def _no_seed(cls, settings: dict[str, Any]) -> dict[str, Any]:
        if "seed" in settings:
            raise SettingError("seed", settings["seed"], "give `seeds`, the same for all cells")
        return settings

    @field_validator("seeds", mode="before")
    @classmethod
    def _some(cls, seeds: Any) -> Any:
        def whole(value: Any) -> bool:
            return isinstance(value, int) and not isinstance(value, bool)

        if whole(seeds) and 1 <= seeds <= MOST_CELLS:
            return seeds
        if not isinstance(seeds, list | tuple) or not seeds:
            raise SettingError("", seeds, f"how many, 1..{MOST_CELLS:,}, or a list of seeds")
        for i, seed in enumerate(seeds):
            if not whole(seed) or not 0 <= seed < 2**63:
                raise SettingError(str(i), seed, "a seed is an integer in 0..2**63 - 1")
        if len(set(seeds)) < len(seeds):
            raise SettingError("", list(seeds), "a seed is named twice")
        return tuple(seeds)

    @field_validator("design", mode="before")
    @classmethod
    def _blocks(cls, design: Any) -> Any:
        if not isinstance(design, list | tuple):
            raise SettingError("", design, "a list of blocks: write [[design]]")
        return tuple(design)

    @model_validator(mode="after")
    def _sensible(self) -> Spec:
        names: dict[str, str] = {}
        setters: dict[str, str] = {}
        for i, block in enumerate(self.design):
            for name, keys in block.sets():
                where = f"design.{i}.factors.{name}"
                if name.casefold() in TAKEN:
                    raise SettingError(
                        where,
                        name,
                        "is a column of the results; name this factor otherwise, with named levels",
                    )
                if names.setdefault(name.casefold(), where) != where:
                    raise SettingError(
                        where, name, f"is a factor already, {names[name.casefold()]}"
                    )
                for key in keys:
                    if key == "seed":
                        raise SettingError(where, key, "give `seeds`, the same for all cells")
                    if setters.setdefault(key, where) != where:
                        raise SettingError(where, key, f"is set by {setters[key]} too")
        if (cells := math.prod(block.size() for block in self.design)) > MOST_CELLS:
            raise SettingError("design", f"{cells:,} cells", f"at most {MOST_CELLS:,}")
        return self

    @property
    def seed_list(self) -> tuple[int, ...]:
        return tuple(range(self.seeds)) if isinstance(self.seeds, int) else self.seeds

    @property
    def factors(self) -> list[str]:
        """Names of all factors, in order."""
        return [name for block in self.design for name in block.factors]


@dataclass(frozen=True)
class PlannedRun:
    """One run of a plan: its cell's number and labels by factor, and what to run."""

    cell: int
    labels: Mapping[str, Any]
    scenario: Scenario

    @property
    def seed(self) -> int:
        return self.scenario.seed

    @cached_property
    def run_id(self) -> str:
        return self.scenario.run_id()


def digest(runs: Iterable[PlannedRun]) -> str:
    """Identity of a plan: what its runs are and how its cells are called, wherever its files lie."""
    found = hashlib.blake2b(digest_size=16)
    for p in runs:
        found.update(json.dumps([p.cell, p.run_id, p.labels], default=str).encode())
    return found.hexdigest()


def load_spec(source: str | Path | Mapping[str, Any]) -> Spec:
    """A sweep from a TOML file or a table of plain values. Raises `ScenarioError`."""
    if isinstance(source, Mapping):
        return _checked(dict(source), "sweep")
    path = Path(os.path.expanduser(source))
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ScenarioError(
            str(source), "", None, "no such file; a sweep is described in a TOML file"
        ) from None
    except IsADirectoryError:
        raise ScenarioError(str(source), "", None, "is a folder; give a TOML file") from None
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
        spec = Spec.model_validate(values)
    except ValidationError as error:
        first = first_error(error, Spec)
        raise ScenarioError(file, first.key, first.value, first.expected) from error
    try:
        read_settings(spec.scorecard, file)
    except RunError as error:
        raise ScenarioError(file, "", None, str(error).removeprefix(f"{file}: ")) from error
    spec._file = file
    return spec


def plan(spec: Spec) -> list[PlannedRun]:
    """Every run of a sweep, cell by cell and seed by seed, all checked. Raises `ScenarioError`, naming the cell's levels."""
    return list(planned(spec))


def planned(spec: Spec) -> Iterator[PlannedRun]:
    """`plan`, one run after the other. Two cells that come to the same scenario are an error: one of them says too little."""
    base = base_values(spec)
    seen: dict[str, int] = {}
    for cell, point in enumerate(combine(spec.design)):
        labels = {name: level.label for name, level in point.items()}
        told = ", ".join(f"{k} = {v!r}" for k, v in labels.items())
        where = f"{spec.file} ({told})" if told else spec.file
        values = copy.deepcopy(base)
        _apply(
            values,
            [(key, value) for level in point.values() for key, value in level.settings.items()],
            where,
        )
        locate(values, Path.cwd())
        values["seed"] = spec.seed_list[0]
        first = validate(values, where)
        before = seen.setdefault(first.run_id(), cell)
        if before != cell:
            raise ScenarioError(
                spec.file,
                "design",
                told,
                f"is the same scenario as cell {before}; levels must differ",
            )
        for seed in spec.seed_list:
            yield PlannedRun(cell, labels, first.model_copy(update={"seed": seed}))


def base_values(spec: Spec) -> dict[str, Any]:
    """The scenario with what is set in all runs, as plain values."""
    values = read_values(spec.scenario)
    _apply(values, list(spec.set.items()), spec.file)
    locate(values, Path.cwd())
    return values


def _apply(values: dict[str, Any], settings: list[tuple[str, Any]], file: str) -> None:
    """Set dotted keys, those that choose a plug-in first: another one drops the parameters of the one before."""
    for key, value in sorted(settings, key=lambda item: not is_selector(item[0])):
        try:
            override(values, key, copy.deepcopy(value))
        except SettingError as error:
            raise ScenarioError(file, error.key, error.value, error.expected) from error
