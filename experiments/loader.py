"""Scenarios from TOML files and presets, with errors that name file, key, value and what would be right."""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_args

import tomli_w
from pydantic import BaseModel, ValidationError

from mechanisms.plugin import nearest
from sim.scenario import PLUGINS, Scenario, SettingError, is_selector, override

PRESETS = Path(__file__).parent / "scenarios"


class ScenarioError(ValueError):
    """A scenario that cannot run; one line."""

    def __init__(self, file: str, key: str, value: Any, expected: str) -> None:
        where = (
            f"{file}: {key} = {_short(value)}"
            if key and value is not None
            else f"{file}: {key}"
            if key
            else file
        )
        super().__init__(f"{where}: {expected}")
        self.file, self.key, self.value, self.expected = file, key, value, expected


def preset_names() -> list[str]:
    """Names of the shipped scenarios."""
    return sorted(p.stem for p in PRESETS.glob("*.toml"))


def load_scenario(source: str | Path, overrides: Mapping[str, Any] | None = None) -> Scenario:
    """A preset by name or a TOML file, with dotted keys overridden. Raises `ScenarioError`.

    A file may begin with `extends = "NAME_OR_FILE"`: what it does not say comes from there. Naming another rule, data set
    or model drops the parameters of the one it replaces.
    """
    name = str(source)
    values = read_values(source)
    # Which plug-in first, then its parameters: naming another one drops those of the one before.
    for key, value in sorted((overrides or {}).items(), key=lambda item: not is_selector(item[0])):
        try:
            override(values, key, value)
        except SettingError as error:
            raise ScenarioError(name, error.key, error.value, error.expected) from error
    locate(values, Path.cwd())
    return validate(values, name)


def validate(values: Mapping[str, Any], file: str) -> Scenario:
    """Check a table of plain values; `file` is for the error."""
    try:
        return Scenario.model_validate(values)
    except ValidationError as error:
        raise _one_line(error, values, file) from error


def dumps(scenario: Scenario) -> str:
    """The complete scenario as TOML; `load_scenario` of it gives an equal scenario."""
    return tomli_w.dumps(scenario.to_dict())


def parse_override(text: str) -> tuple[str, Any]:
    """`key=value` of `--set`: the value is TOML; a bare word is a string."""
    key, sign, raw = text.partition("=")
    key = key.strip()
    if not sign or not key:
        raise ScenarioError("--set", text, "", "write key=value, as training.epochs=2")
    try:
        return key, tomllib.loads(f"value = {raw.strip()}")["value"]
    except tomllib.TOMLDecodeError:
        return key, raw.strip()


def read_values(source: str | Path) -> dict[str, Any]:
    """The plain values of a preset or TOML file, with what it extends; not checked yet."""
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
    return _merge(_read(near if near.is_file() else base, (*seen, place)), values)


def locate(values: Any, folder: Path) -> None:
    """Plug-ins named by file are looked for beside the scenario that names them, then where the command runs."""
    for key, value in values.items() if isinstance(values, dict) else enumerate(values):
        if isinstance(value, dict | list):
            locate(value, folder)
        elif isinstance(value, str) and ".py:" in value:
            file, _, class_name = value.rpartition(":")
            if (folder / file).is_file():
                values[key] = f"{(folder / file).resolve()}:{class_name}"


def _merge(base: dict[str, Any], over: Mapping[str, Any], table: str = "") -> dict[str, Any]:
    merged = dict(base)
    for home, selector in PLUGINS:
        if home == table and selector in over and over[selector] != base.get(selector):
            merged.pop("params", None)
    for key, value in over.items():
        if isinstance(value, Mapping) and isinstance(merged.get(key), dict):
            merged[key] = _merge(merged[key], value, f"{table}.{key}" if table else key)
        else:
            merged[key] = value
    return merged


def _one_line(error: ValidationError, values: Mapping[str, Any], file: str) -> ScenarioError:
    first, *rest = error.errors()
    more = f" (and {len(rest)} more)" if rest else ""
    inner = first.get("ctx", {}).get("error")
    if isinstance(inner, SettingError):
        return ScenarioError(file, inner.key, inner.value, inner.expected + more)
    path = first["loc"]
    key = ".".join(map(str, path))
    if first["type"] == "extra_forbidden":
        known = list(_fields_at(path[:-1]))
        return ScenarioError(
            file, key, first["input"], f"unknown key; {nearest(str(path[-1]), known)}{more}"
        )
    message = _MESSAGES.get(first["type"]) or first["msg"].removeprefix(
        "Value error, "
    ).removeprefix("Input ")
    if first["type"] == "missing":
        given = ", ".join(map(str, first["input"])) if isinstance(first["input"], Mapping) else ""
        return ScenarioError(file, key, None, f"missing; given: {given or 'nothing'}{more}")
    if first["type"] == "string_pattern_mismatch":
        message = "letters, digits and . _ - only, beginning with a letter or digit"
    return ScenarioError(file, key, first["input"], message + more)


_MESSAGES = {
    "tuple_type": "must be a list; a list of tables is written with double brackets, as [[payout.parts]]",
    "dict_type": "must be a table",
    "model_type": "must be a table",
}


def _fields_at(path: tuple[Any, ...]) -> list[str]:
    model: type[BaseModel] = Scenario
    for part in path:
        if isinstance(part, int):
            continue
        annotation: Any = model.model_fields[part].annotation
        found = [
            a
            for a in (annotation, *get_args(annotation))
            if isinstance(a, type) and issubclass(a, BaseModel)
        ]
        if not found:
            return []
        model = found[0]
    return list(model.model_fields)


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
