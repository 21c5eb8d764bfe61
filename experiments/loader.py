"""Load scenarios from TOML files and presets.

Errors name the file, the key, the value and what would be right.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from copy import deepcopy
from pathlib import Path
from typing import Any

import tomli_w

from fedstake.errors import InputError
from fedstake.outside import UnreadableError, literal, parse_toml, problem, read_toml, shown
from mechanisms.plugin import nearest
from sim.conditions import drop_switched_off, gives
from sim.keys import SettingError
from sim.scenario import Scenario, change, scenario_class, scenario_of

SWEEP_KEYS = ("scenario", "set", "seeds", "design", "scorecard")
"""Keys of the file of a sweep, which is no scenario."""
PRESETS = Path(__file__).parent / "scenarios"
MOST_EXTENDS = 20
"""Most scenarios that extend each other."""


class ScenarioError(InputError):
    """A scenario that cannot run; one line."""

    def __init__(self, file: str, key: str, value: Any, expected: str) -> None:
        super().__init__(file, key, value, expected)
        self.file, self.key, self.value, self.expected = file, key, value, expected

    def __str__(self) -> str:
        where = shown(self.file)
        if self.key:
            where += f": {_cut(literal(self.key))}"
            if self.value is not None:
                where += f" = {_short(self.value)}"
        return f"{where}: {self.expected}"


def preset_names() -> list[str]:
    """Return the names of the shipped scenarios."""
    return sorted(p.stem for p in PRESETS.glob("*.toml"))


def load_scenario(source: str | Path, overrides: Mapping[str, Any] | None = None) -> Scenario:
    """Return a preset by name or a TOML file as a scenario, with dotted keys overridden.

    Raises `ScenarioError`.

    A file may begin with `extends = "NAME_OR_FILE"`: what it does not say comes from there. Naming
    another rule, data set or model drops the parameters of the one it replaces. What is inherited
    and cannot act, since another key switches it off, is dropped; what the file or the overrides
    say themselves and cannot act is refused.
    """
    if not isinstance(source, str | os.PathLike):
        raise InputError(
            f"scenario is of type {type(source).__name__}: must be a preset's name or a TOML file; "
            "keys to change go into set, and scenario_of makes a scenario of a table"
        )
    name, changes = str(source), table_of(overrides)
    values, own = _read(name)
    _change(values, changes, name)
    drop_switched_off(
        scenario_class(values), values, lambda path: gives(changes, path) or gives(own, path)
    )
    locate(values, Path.cwd())
    return validate(values, name)


def table_of(changes: Any) -> Mapping[str, Any]:
    """Return the changes that argument `set` holds, an empty table for None."""
    if changes is None or isinstance(changes, Mapping):
        return changes or {}
    kind = type(changes).__name__
    raise InputError(f"set is of type {kind}: must be a table, as {{'training.epochs': 2}}")


def _change(values: dict[str, Any], changes: Mapping[str, Any], file: str) -> None:
    """Set dotted keys in plain values; errors name the file."""
    try:
        change(values, changes)
    except SettingError as error:
        raise ScenarioError(file, error.key, error.value, error.expected) from error
    wrong = problem(values)
    if wrong:
        raise ScenarioError(file, "", None, wrong)


def validate(values: Mapping[str, Any], file: str) -> Scenario:
    """Check a table of plain values; `file` is for the error."""
    try:
        return scenario_of(values)
    except SettingError as error:
        if error.key.split(".")[0] in SWEEP_KEYS and values.keys() & {"design", "scenario"}:
            raise ScenarioError(file, "", None, f"is a sweep; fedstake sweep {file}") from error
        raise ScenarioError(file, error.key, error.value, error.expected) from error


def dumps(scenario: Scenario) -> str:
    """Return the complete scenario as TOML; `load_scenario` of it gives an equal scenario."""
    return tomli_w.dumps(scenario.to_dict())


def parse_override(text: str) -> tuple[str, Any]:
    """Return key and value of `--set key=value`: the value is TOML; a bare word is a string."""
    key, sign, raw = text.partition("=")
    key = key.strip()
    if not sign or not key:
        raise ScenarioError("--set", text, "", "write key=value, as training.epochs=2")
    try:
        return key, parse_toml(f"value = {raw.strip()}", "--set")["value"]
    except UnreadableError:
        return key, raw.strip()


def read_values(source: str | Path) -> dict[str, Any]:
    """Return the plain values of a preset or TOML file, with what it extends; not checked yet."""
    return _read(str(source))[0]


def _read(source: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the plain values of a preset or file, and those that a file says itself.

    A preset says nothing itself: it prepares keys for rules that an override may choose.
    """
    layers = _layers(source)
    own = {} if _path_of(source).parent == PRESETS else deepcopy(layers[0][1])
    name, values = layers.pop()
    while layers:
        name, more = layers.pop()
        _change(values, more, name)
    return values, own


def _layers(source: str) -> list[tuple[str, dict[str, Any]]]:
    """Return the values of a file and of all that it extends, with their names, itself first."""
    layers: list[tuple[str, dict[str, Any]]] = []
    seen: list[str] = []
    name: str | None = source
    while name is not None:
        path = _path_of(name)
        missing = f"no such file or preset; {nearest(name, preset_names())}"
        values = toml_values(path, name, missing)
        place = os.path.realpath(path)
        if place in seen:
            last = os.path.basename(seen[-1])
            expected = "scenarios extend each other in a circle"
            raise ScenarioError(name, "extends", last, expected)
        if len(seen) > MOST_EXTENDS:
            expected = f"at most {MOST_EXTENDS} scenarios extend each other"
            raise ScenarioError(source, "extends", name, expected)
        locate(values, path.parent)
        values.setdefault("name", label(path))
        seen.append(place)
        layers.append((name, values))
        name = _base(values, name, path.parent)
    return layers


def label(path: Path) -> str:
    """Return the name of a file without its ending, as a scenario or a sweep can be called."""
    words = re.findall(r"[A-Za-z0-9._-]+", path.stem)
    return "-".join(words).lstrip("._-")[:80] or "scenario"


def _base(values: dict[str, Any], name: str, folder: Path) -> str | None:
    """Take out and return what a file extends: a file beside it first; None for nothing."""
    base = values.pop("extends", None)
    if base is None:
        return None
    if not isinstance(base, str):
        raise ScenarioError(name, "extends", base, "must be the name of a preset or a file")
    near = folder / base
    return str(near) if os.path.isfile(near) else base


def _path_of(name: str) -> Path:
    """Return the path of a file or preset."""
    path = Path(os.path.expanduser(name))  # leaves ~nobody as it is, where Path raises
    if os.path.isfile(path) or not re.fullmatch(r"[\w.-]+", name):
        return path
    preset = PRESETS / f"{name}.toml"
    return preset if os.path.isfile(preset) else path


def toml_values(path: Path, name: str, missing: str) -> dict[str, Any]:
    """Return the values of a TOML file; `ScenarioError` under its name, `missing` without it."""
    try:
        return read_toml(path)
    except FileNotFoundError:
        raise ScenarioError(name, "", None, missing) from None
    except UnreadableError as error:
        raise ScenarioError(name, "", None, error.reason) from None


def locate(values: Any, folder: Path) -> None:
    """Let plug-ins named by file be found beside the scenario, then in the current folder."""
    for key, value in values.items() if isinstance(values, dict) else enumerate(values):
        if isinstance(value, dict | list):
            locate(value, folder)
        elif isinstance(value, str) and (".py:" in value or value.endswith(".py")):
            file, sign, class_name = value.rpartition(":") if ":" in value else (value, "", "")
            if os.path.isfile(folder / file):
                values[key] = f"{(folder / file).resolve()}{sign}{class_name}"


def _short(value: Any) -> str:
    return _cut(repr(value))


def _cut(text: str) -> str:
    return text if len(text) <= 60 else text[:57] + "..."
