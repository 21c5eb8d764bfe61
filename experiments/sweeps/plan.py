"""The plan of a sweep: its file, checked, and all its runs."""

from __future__ import annotations

import copy
import hashlib
import json
import math
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
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

from experiments.labels import BY_PATH, LONGEST, check_labels, plugin_label
from experiments.limits import Limits
from experiments.loader import ScenarioError, label, locate, read_values, toml_values, validate
from experiments.rundir import RunError
from experiments.scorecard.settings import read_settings
from experiments.sweeps.design import MOST_CELLS, SAMPLED, Block, Level, combine, first_error
from mechanisms.plugin import nearest
from sim.conditions import drop_switched_off, switched_off
from sim.keys import SettingError
from sim.protocol import CORE_OUTCOMES, Outcome, protocols
from sim.scenario import Scenario, change, scenario_class

RUN_COLUMNS = (
    "run_id", "cell", "seed", "scenario", "row", "runs", "status", "wall_s", "cpu_s", "bytes",
    "stage", "error", "traceback",
)  # fmt: skip
"""Columns of frames beside the factors."""

TAKEN = frozenset(RUN_COLUMNS) | frozenset(CORE_OUTCOMES)
"""What no factor can be called, whatever is played."""


Label = Annotated[str, Field(min_length=1, max_length=LONGEST)]


class LabelSettings(BaseModel):
    """What tables and figures call factors and levels instead of their own names."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    factors: dict[str, Label] = {}
    """Label of each factor."""
    levels: dict[str, dict[str, Label]] = {}
    """Labels of levels, by factor and level; of a plug-in by path its `file.py:Class` is enough."""

    @model_validator(mode="after")
    def _printable(self) -> LabelSettings:
        tables = {"factors": self.factors}
        tables |= {f"levels.{name}": labels for name, labels in self.levels.items()}
        for place, labels in tables.items():
            for key, text in labels.items():
                if not text.isprintable() or not text.strip():
                    raise SettingError(f"{place}.{key}", text, "must be one line of text")
        return self


class Spec(BaseModel):
    """A sweep: a scenario, its changes in all runs, the factors, and the seeds of every cell."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,79}$")] = "sweep"
    """Label, and name of the default folder."""
    scenario: str = "digits-quick"
    """Preset or TOML file of the base scenario; a file is looked for beside the sweep first."""
    set: dict[str, Any] = {}
    """Dotted scenario keys and their values in all runs."""
    seeds: int | tuple[int, ...] = 1
    """Seeds of every cell (common random numbers): how many, counted from 0, or a list."""
    design: tuple[Block, ...] = ()
    """Blocks of factors, crossed with each other."""
    timeout: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None
    """Seconds of wall time after which a run is ended and recorded as failed."""
    memory: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None
    """Gigabytes of memory above which the process of a run is ended, and the run has failed."""
    scorecard: dict[str, Any] = {}
    """Settings of the scorecard, for `fedstake compare`."""
    labels: LabelSettings = LabelSettings()
    """Labels of factors and levels; no part of what is run."""

    _file: str = PrivateAttr("sweep")

    @property
    def file(self) -> str:
        """File that it was read from; errors name it."""
        return self._file

    @field_validator("set")
    @classmethod
    def _no_seed(cls, settings: dict[str, Any]) -> dict[str, Any]:
        if "seed" in settings:
            raise SettingError("seed", settings["seed"], "give `seeds`, the same for all cells")
        return settings

    @field_validator("seeds", mode="before")
    @classmethod
    def _number_or_list(cls, seeds: Any) -> Any:
        if _is_integer(seeds) and 1 <= seeds <= MOST_CELLS:
            return seeds
        if not isinstance(seeds, list | tuple) or not seeds:
            raise SettingError("", seeds, f"how many, 1..{MOST_CELLS:,}, or a list of seeds")
        for i, seed in enumerate(seeds):
            if not _is_integer(seed) or not 0 <= seed < 2**63:
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
            for name, keys in block.keys_of_factors():
                where = f"design.{i}.factors.{name}"
                _check_name(name, where, names)
                _check_keys(keys, where, setters)
        cells = math.prod(block.size() for block in self.design)
        if cells > MOST_CELLS:
            raise SettingError("design", f"{cells:,} cells", f"at most {MOST_CELLS:,}")
        self._check_labels()
        return self

    def _check_labels(self) -> None:
        """Raise `SettingError` for labels of what the design does not have."""
        levels = {name: list(given) for b in self.design for name, given in b.listed().items()}
        for place in ("factors", "levels"):
            for name in getattr(self.labels, place):
                if name not in levels:
                    key = f"labels.{place}"
                    raise SettingError(key, name, f"no such factor; {nearest(name, list(levels))}")
        check_labels(self.labels.levels, levels)

    @property
    def seed_list(self) -> tuple[int, ...]:
        return tuple(range(self.seeds)) if isinstance(self.seeds, int) else self.seeds

    @property
    def limits(self) -> Limits:
        """The limits of each run."""
        memory = None if self.memory is None else round(self.memory * 1e9)
        return Limits(self.timeout, memory)

    @property
    def merged(self) -> list[str]:
        """A line for every sampled block in which the same point was drawn more than once."""
        lines = []
        for i, block in enumerate(self.design):
            distinct = len(block.points()) if block.kind in SAMPLED else block.size()
            if distinct < block.size():
                lines.append(
                    f"{self.file}: design.{i}: {block.size()} samples, {distinct} distinct; "
                    "equal ones are one cell"
                )
        return lines

    @property
    def factors(self) -> list[str]:
        """Names of all factors, in order."""
        return [name for block in self.design for name in block.factors]


def _is_integer(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _check_name(name: str, where: str, names: dict[str, str]) -> None:
    """Raise `SettingError` for a factor with the name of a column or of another factor.

    `names` maps the names so far, in lower case, to where they stand; this one is added.
    """
    if not name:
        raise SettingError(where, name, "a factor needs a name")
    if name.casefold() in TAKEN:
        raise SettingError(
            where, name, "is a column of the results; choose another name, with named levels"
        )
    if names.setdefault(name.casefold(), where) != where:
        raise SettingError(where, name, f"is a factor already, {names[name.casefold()]}")


def _check_keys(keys: Iterable[str], where: str, setters: dict[str, str]) -> None:
    """Raise `SettingError` for the key `seed` and for keys that another factor sets.

    `setters` maps the keys so far to the factor that sets them; these are added.
    """
    for key in keys:
        if key == "seed":
            raise SettingError(where, key, "give `seeds`, the same for all cells")
        if setters.setdefault(key, where) != where:
            raise SettingError(where, key, f"is set by {setters[key]} too")


@dataclass(frozen=True)
class PlannedRun:
    """One run of a plan: the number of its cell, its label of each factor, and its scenario."""

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
    """Return the identity of a plan: a hash of its runs and labels, not of where its files are."""
    state = hashlib.blake2b(digest_size=16)
    for p in runs:
        state.update(json.dumps([p.cell, p.run_id, p.labels], default=str).encode())
    return state.hexdigest()


def load_spec(source: str | Path | Mapping[str, Any]) -> Spec:
    """Read a sweep from a TOML file or a table of plain values; raise `ScenarioError` if wrong."""
    if isinstance(source, Mapping):
        return spec_of(dict(source), "sweep")
    return spec_of(read_file(source), str(source))


def read_file(source: str | Path) -> dict[str, Any]:
    """Return the values of a sweep's file, not checked yet; raise `ScenarioError` if unreadable."""
    path = Path(os.path.expanduser(source))
    missing = "no such file; a sweep is described in a TOML file"
    values = toml_values(path, str(source), missing)
    locate(values, path.parent)
    values.setdefault("name", label(path))
    base = values.get("scenario")
    if isinstance(base, str) and os.path.isfile(path.parent / base):
        values["scenario"] = str((path.parent / base).resolve())
    return values


def spec_of(values: dict[str, Any], file: str) -> Spec:
    """Return the sweep of plain values; errors name the file."""
    try:
        spec = Spec.model_validate(values)
    except ValidationError as error:
        first = first_error(error, Spec)
        if is_scenario(values):
            expected = (
                f"is a scenario; fedstake run {file} plays it, "
                f'and a sweep of it begins with scenario = "{os.path.basename(file)}", '
                "or is asked for with --vary KEY=VALUE,VALUE or --seeds N"
            )
            raise ScenarioError(file, "", None, expected) from error
        raise ScenarioError(file, first.key, first.value, first.expected) from error
    try:
        read_settings(spec.scorecard, file)
    except RunError as error:
        raise ScenarioError(file, "", None, str(error).removeprefix(f"{file}: ")) from error
    spec._file = file
    return spec


def is_scenario(values: Mapping[str, Any]) -> bool:
    """Return whether a table has a key of scenarios and none that makes it a sweep."""
    keys = scenario_class({}).model_fields.keys() | {"extends"}
    known = values.keys() & (keys - Spec.model_fields.keys())
    return bool(known) and not values.keys() & {"design", "seeds", "scenario"}


def plan(spec: Spec) -> list[PlannedRun]:
    """Return every run of a sweep, cell by cell and seed by seed.

    Raises `ScenarioError`, with the levels of the cell, for a scenario that cannot run.
    """
    return list(planned(spec))


def planned(spec: Spec) -> Iterator[PlannedRun]:
    """Yield the runs of `plan`. Two cells with the same scenario are an error.

    A key that cannot act in a cell, since another key switches it off there, is dropped. A factor
    that sets no key that acts has no label in that cell, and cells that differ in such factors only
    are one. Raises `ScenarioError` for a key that acts in no cell.
    """
    base = base_values(spec)
    seen: dict[str, int] = {}
    idle = Idle(spec)
    for point in combine(spec.design):
        labels = {name: level.label for name, level in point.items()}
        levels = ", ".join(f"{name} = {label!r}" for name, label in labels.items())
        where = f"{spec.file} ({levels})" if levels else spec.file

        # Check the first seed of the cell; the others differ in the seed only.
        values = copy.deepcopy(base)
        settings = [pair for level in point.values() for pair in level.settings.items()]
        try:
            _apply(values, settings, where)
            drop_switched_off(scenario_class(values), values, _in_a_list)
            locate(values, Path.cwd())
            values["seed"] = spec.seed_list[0]
            first = validate(values, where)
        except ScenarioError as error:
            if labels != {error.key: error.value}:
                raise
            raise ScenarioError(spec.file, error.key, error.value, error.expected) from error
        _check_names(labels, first, spec.file)
        without = idle.factors(first, point)
        labels |= dict.fromkeys(without)
        cell = len(seen)
        before = seen.setdefault(first.run_id(), cell)
        if before != cell and without:
            continue
        if before != cell:
            raise ScenarioError(
                spec.file,
                "design",
                levels,
                f"is the same scenario as cell {before}; levels must differ",
            )
        for seed in spec.seed_list:
            yield PlannedRun(cell, labels, first.model_copy(update={"seed": seed}))
    idle.check()


def _in_a_list(path: Sequence[str | int]) -> bool:
    """Return whether a key stands in a list: an entry means what it says or is refused."""
    return any(isinstance(part, int) for part in path)


class Idle:
    """Which keys that a sweep sets act in none of its cells, as far as it is planned."""

    def __init__(self, spec: Spec) -> None:
        self._file = spec.file
        self._set = set(_dotted(spec.set))
        self._errors: dict[str, SettingError] = {}
        self._acted: set[str] = set()

    def factors(self, scenario: Scenario, point: Mapping[str, Level]) -> list[str]:
        """Return the factors of a cell that set no key that acts in its scenario."""
        off = {o.key: o.error for o in switched_off(type(scenario), scenario.to_dict())}
        keys = {name: set(_dotted(level.settings)) for name, level in point.items()}
        given = self._set.union(*keys.values())
        self._acted |= given - off.keys()
        self._errors |= {key: off[key] for key in given & off.keys()}
        return [name for name, own in keys.items() if own and own <= off.keys()]

    def check(self) -> None:
        """Raise `ScenarioError` for a key that acts in no cell."""
        for key in sorted(self._errors.keys() - self._acted):
            expected = f"acts in no cell: {self._errors[key].expected}"
            raise ScenarioError(self._file, key, None, expected)


def _dotted(settings: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    """Yield the dotted keys that settings give, tables taken apart."""
    for key, value in settings.items():
        if isinstance(value, Mapping):
            yield from _dotted(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}"


def plugin_names(runs: Iterable[PlannedRun]) -> dict[str, dict[str, str]]:
    """Return by factor and level what each plug-in is called that a level names by path.

    It is recorded with the sweep, so that readers need no plug-in.
    """
    names: dict[str, dict[str, str]] = {}
    for run in runs:
        for factor, level in run.labels.items():
            by_path = isinstance(level, str) and BY_PATH.fullmatch(level)
            if by_path and level not in names.get(factor, {}):
                for choice in run.scenario.choices():
                    if choice.key == factor:
                        own = choice.registry.get(choice.name).name
                        names.setdefault(factor, {})[level] = plugin_label(level, own)
    return names


def outcomes_of(scenario: Scenario) -> dict[str, Outcome]:
    """Return what a run of a scenario comes to, as its protocol declares it."""
    return protocols.get(scenario.protocol).all_outcomes()  # type: ignore[attr-defined]


def _check_names(factors: Iterable[str], scenario: Scenario, file: str) -> None:
    """Raise `ScenarioError` for a factor that is called like an outcome of the protocol."""
    outcomes = outcomes_of(scenario)
    for name in factors:
        if name.casefold() in outcomes:
            expected = "is a column of the results; name this factor otherwise, with named levels"
            raise ScenarioError(file, "design.factors", name, expected)


def base_values(spec: Spec) -> dict[str, Any]:
    """Return the base scenario with the changes of all runs, as plain values."""
    values = read_values(spec.scenario)
    _apply(values, list(spec.set.items()), spec.file)
    locate(values, Path.cwd())
    return values


def _apply(values: dict[str, Any], settings: list[tuple[str, Any]], file: str) -> None:
    """Set dotted keys; errors name the file."""
    try:
        change(values, copy.deepcopy(dict(settings)))
    except SettingError as error:
        raise ScenarioError(file, error.key, error.value, error.expected) from error
