"""Load scenarios from TOML files and presets.

Errors name the file, the key, the value and what would be right.
"""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import tomli_w

from fedstake.errors import InputError
from mechanisms.plugin import nearest
from sim.keys import SettingError
from sim.scenario import Scenario, change, scenario_of

PRESETS = Path(__file__).parent / "scenarios"


class ScenarioError(InputError):
    """A scenario that cannot run; one line."""

    def __init__(self, file: str, key: str, value: Any, expected: str) -> None:
        where = file
        if key:
            where += f": {key}"
            if value is not None:
                where += f" = {_short(value)}"
        super().__init__(f"{where}: {expected}")
        self.file, self.key, self.value, self.expected = file, key, value, expected


def preset_names() -> list[str]:
    """Return the names of the shipped scenarios."""
    return sorted(p.stem for p in PRESETS.glob("*.toml"))


def load_scenario(source: str | Path, overrides: Mapping[str, Any] | None = None) -> Scenario:
    """Return a preset by name or a TOML file as a scenario, with dotted keys overridden.

    Raises `ScenarioError`.

    A file may begin with `extends = "NAME_OR_FILE"`: what it does not say comes from there. Naming
    another rule, data set or model drops the parameters of the one it replaces.
    """
    name = str(source)
    values = read_values(source)
    _change(values, overrides or {}, name)
    locate(values, Path.cwd())
    return validate(values, name)


def _change(values: dict[str, Any], changes: Mapping[str, Any], file: str) -> None:
    """Set dotted keys in plain values; errors name the file."""
    try:
        change(values, changes)
    except SettingError as error:
        raise ScenarioError(file, error.key, error.value, error.expected) from error


def validate(values: Mapping[str, Any], file: str) -> Scenario:
    """Check a table of plain values; `file` is for the error."""
    try:
        return scenario_of(values)
    except SettingError as error:
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
        return key, tomllib.loads(f"value = {raw.strip()}")["value"]
    except tomllib.TOMLDecodeError:
        return key, raw.strip()


def read_values(source: str | Path) -> dict[str, Any]:
    """Return the plain values of a preset or TOML file, with what it extends; not checked yet."""
    return _read(source, seen=())


def _read(source: str | Path, seen: tuple[str, ...]) -> dict[str, Any]:
    name = str(source)
    path = Path(os.path.expanduser(source))  # leaves ~nobody as it is, where Path raises
    preset = PRESETS / f"{name}.toml"
    if not path.is_file() and re.fullmatch(r"[\w.-]+", name) and preset.is_file():
        path = preset
    place = str(path.resolve())
    if place in seen:
        raise ScenarioError(
            name, "extends", Path(seen[-1]).name, "scenarios extend each other in a circle"
        )
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ScenarioError(
            name, "", None, f"no such file or preset; {nearest(name, preset_names())}"
        ) from None
    except IsADirectoryError:
        raise ScenarioError(name, "", None, "is a folder; give a TOML file") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ScenarioError(name, "", None, f"cannot be read ({error})") from None
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise ScenarioError(name, "", None, f"is not TOML: {error}") from None
    locate(values, path.parent)
    base = values.pop("extends", None)
    if base is None:
        return values
    if not isinstance(base, str):
        raise ScenarioError(name, "extends", base, "must be the name of a preset or a file")
    near = path.parent / base
    merged = _read(near if near.is_file() else base, (*seen, place))
    _change(merged, values, name)
    return merged


def locate(values: Any, folder: Path) -> None:
    """Let plug-ins named by file be found beside the scenario, then in the current folder."""
    for key, value in values.items() if isinstance(values, dict) else enumerate(values):
        if isinstance(value, dict | list):
            locate(value, folder)
        elif isinstance(value, str) and ".py:" in value:
            file, _, class_name = value.rpartition(":")
            if (folder / file).is_file():
                values[key] = f"{(folder / file).resolve()}:{class_name}"


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
