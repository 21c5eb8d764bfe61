"""A sweep without a file of its own: a scenario, what is varied, how many seeds."""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from experiments.loader import ScenarioError, label, parse_override, preset_names
from experiments.sweeps.plan import Spec, is_scenario, load_spec, read_file, spec_of
from fedstake.errors import InputError
from fedstake.outside import read_toml

Levels = Mapping[str, Any]
"""Levels by factor: a list of values of a scenario key, or a table of named levels."""


def requested(
    source: str | Path | Mapping[str, Any],
    *,
    vary: Levels | None = None,
    seeds: int | Sequence[int] | None = None,
    set: Mapping[str, Any] | None = None,
) -> Spec:
    """Return the sweep that was asked for; raise `ScenarioError` for a wrong one.

    Args:
        source: a sweep's file or table of plain values; or a scenario (preset or file), with
            `vary` or `seeds`.
        vary: more factors, crossed with those of the file and with each other.
        seeds: how many, or a list; instead of the file's.
        set: dotted scenario keys and their values in all runs, beside the file's.
    """
    changed = bool(vary) or seeds is not None
    if isinstance(source, Mapping):
        values, name = dict(source), "sweep"
    elif changed and _names_scenario(source):
        path = Path(os.path.expanduser(source))
        base = str(path.resolve()) if path.is_file() else str(source)
        values, name = {"name": _name(source, vary or {}), "scenario": base}, str(source)
    elif not changed and str(source) in preset_names() and not Path(source).exists():
        raise ScenarioError(str(source), "", None, "is a scenario: add --vary or --seeds")
    elif not (changed or set):
        return load_spec(source)
    else:
        values, name = read_file(source), str(source)
    if vary:
        factors = {key: _plain(levels) for key, levels in vary.items()}
        values["design"] = [*values.get("design", []), {"factors": factors}]
    if seeds is not None:
        values["seeds"] = seeds if isinstance(seeds, int) else list(seeds)
    if set:
        values["set"] = dict(values.get("set", {})) | dict(set)
    return spec_of(values, name)


def limited(spec: Spec, timeout: float | None, memory: float | None) -> Spec:
    """Return a sweep with these limits of a run in place of its own, where they are given."""
    given = {"timeout": timeout, "memory": memory}
    limits = {name: limit for name, limit in given.items() if limit is not None}
    if not limits:
        return spec
    values = spec.model_dump(mode="json", exclude_unset=True) | limits
    return spec_of(values, spec.file)


def _names_scenario(source: str | Path) -> bool:
    """Return whether a source is a preset or the file of a scenario."""
    try:
        return is_scenario(read_toml(os.path.expanduser(source)))
    except FileNotFoundError:
        return str(source) in preset_names()
    except InputError:
        return False  # whoever reads it as a sweep says what is wrong


def _name(source: str | Path, vary: Levels) -> str:
    """Return the name of a sweep, and of its folder: the scenario and what is varied."""
    words = "-".join([label(Path(source)), *vary])
    return re.sub(r"[^A-Za-z0-9._-]", "-", words)[:80]


def _plain(levels: Any) -> Any:
    """Return levels as a list or a table: tuples, ranges and arrays are lists."""
    if isinstance(levels, Mapping):
        return dict(levels)
    if hasattr(levels, "tolist"):  # NumPy and pandas
        return levels.tolist()
    if isinstance(levels, str) or not isinstance(levels, Iterable):
        return levels
    return list(levels)


def parse_vary(texts: Iterable[str]) -> dict[str, list[Any]]:
    """Return the factors of `key=value,value` pairs; raise `ScenarioError` for a wrong one.

    Values are read like those of `--set`, together as a TOML list where that is one, else one by
    one between commas.
    """
    factors: dict[str, list[Any]] = {}
    for text in texts:
        key, sign, raw = (part.strip() for part in text.partition("="))
        if not key or not sign or not raw:
            raise ScenarioError("--vary", text, "", "write key=value,value, as training.epochs=1,2")
        if key in factors:
            raise ScenarioError("--vary", text, "", f"{key} is varied already")
        factors[key] = _levels(text, key, raw)
    return factors


def _levels(text: str, key: str, raw: str) -> list[Any]:
    """Return the values between commas."""
    try:
        return list(tomllib.loads(f"value = [{raw}]")["value"])
    except tomllib.TOMLDecodeError:
        pieces = [piece.strip() for piece in raw.split(",")]
    if not all(pieces):
        raise ScenarioError("--vary", text, "", "there is nothing between two commas")
    return [parse_override(f"{key}={piece}")[1] for piece in pieces]
