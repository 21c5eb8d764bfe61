"""Dotted keys of a scenario: which exist, which choose a plug-in, and how one is changed."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import Any, get_args

import numpy as np
from pydantic import BaseModel
from pydantic_core import ErrorDetails

from fedstake.errors import InputError
from mechanisms.plugin import PluginError
from mechanisms.registry import Registry

DEEPEST = 20
"""Most tables and lists inside each other, parameters of plug-ins included."""


class SettingError(InputError):
    """One wrong setting: dotted key, value, and what would be right."""

    def __init__(self, key: str, value: Any, expected: str) -> None:
        super().__init__(key, value, expected)
        self.key, self.value, self.expected = key, value, expected

    def __str__(self) -> str:
        return f"{self.key} = {self.value!r}: {self.expected}"


EXPECTED = {
    "greater_than_equal": "must be >= {ge}",
    "greater_than": "must be > {gt}",
    "less_than_equal": "must be <= {le}",
    "less_than": "must be < {lt}",
    "finite_number": "must be a finite number",
    "int_type": "must be a whole number",
    "int_parsing": "must be a whole number",
    "int_from_float": "must be a whole number",
    "float_type": "must be a number",
    "float_parsing": "must be a number",
    "string_type": "must be a text",
    "bool_type": "must be true or false",
    "bool_parsing": "must be true or false",
    "literal_error": "must be {expected}",
    "list_type": "must be a list",
    "tuple_type": (
        "must be a list; a list of tables is written with double brackets, as [[payout.parts]]"
    ),
    "dict_type": "must be a table",
    "model_type": "must be a table",
    "string_pattern_mismatch": "letters, digits and . _ - only, beginning with a letter or digit",
    "missing": "must be given",
}
"""By the kind of pydantic's error, what would be right."""


def expected_of(problem: ErrorDetails) -> str:
    """Return what would be right in the place of a value that pydantic refuses."""
    own = EXPECTED.get(problem["type"])
    if own is None:
        return problem["msg"].removeprefix("Value error, ").removeprefix("Input ")
    return own.format(**problem.get("ctx", {}))


@contextmanager
def within(place: str) -> Iterator[None]:
    """Put the dotted key of a table before the keys of the `SettingError`s raised inside."""
    try:
        yield
    except SettingError as error:
        raise SettingError(f"{place}.{error.key}", error.value, error.expected) from None


@dataclass(frozen=True)
class Chosen:
    """Marks a key that chooses a plug-in, as in `rule: Annotated[str, Chosen(roles)] = "counts"`.

    `params` is the key beside it that holds the parameters of the plug-in; "": it has none in the
    scenario. `role` says of a key of a group whether the plug-in is a behaviour in a role of that
    name.
    """

    registry: Registry
    params: str = "params"
    role: bool = True


@dataclass(frozen=True)
class Choice:
    """A plug-in that a scenario names: dotted key of the name, registry, name, parameters.

    `params_key`: dotted key of the parameters; "": it has none in the scenario.
    """

    key: str
    registry: Registry
    name: str
    params: dict[str, Any]
    params_key: str

    def create(self) -> Any:
        """Return the plug-in, configured."""
        return self.registry.create(self.name, self.params)


@cache
def chosen_fields(table: type[BaseModel]) -> Mapping[str, Chosen]:
    """Return the keys of a table that choose a plug-in."""
    marked = {}
    for name, field in table.model_fields.items():
        for mark in field.metadata:
            if isinstance(mark, Chosen):
                marked[name] = mark
    return marked


def table_of(field: Any) -> type[BaseModel] | None:
    """Return the class of a key that holds a table or a list of tables, None for any other key."""
    for annotation in (field.annotation, *get_args(field.annotation)):
        if isinstance(annotation, type) and issubclass(annotation, BaseModel):
            return annotation
    return None


def choices(model: BaseModel, prefix: str = "") -> Iterator[Choice]:
    """Yield every plug-in that a scenario or one of its tables names, in the order of the keys."""
    marked = chosen_fields(type(model))
    for name in type(model).model_fields:
        value, key = getattr(model, name), f"{prefix}{name}"
        if name in marked:
            beside = marked[name].params
            params = getattr(model, beside) if beside else {}
            params_key = f"{prefix}{beside}" if beside else ""
            yield Choice(key, marked[name].registry, value, params, params_key)
        elif isinstance(value, BaseModel):
            yield from choices(value, f"{key}.")
        elif isinstance(value, tuple):
            for i, entry in enumerate(value):
                if isinstance(entry, BaseModel):
                    yield from choices(entry, f"{key}.{i}.")


def complete(table: type[BaseModel], values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values of a table with all parameters of its plug-ins, defaults included.

    Raises `SettingError`, with a key relative to the table, for a plug-in that is not there or has
    wrong parameters.
    """
    full = dict(values)
    for name, mark in chosen_fields(table).items():
        if not mark.params:
            continue
        chosen = full.get(name, table.model_fields[name].default)
        params = full.get(mark.params, {})
        if isinstance(chosen, str) and isinstance(params, Mapping):  # else the types are refused
            full[mark.params] = _complete_params(name, mark, chosen, params)
    return full


def _complete_params(
    key: str, mark: Chosen, name: str, params: Mapping[str, Any]
) -> dict[str, Any]:
    """Return all parameters of a plug-in as it would be configured."""
    try:
        return plain(dataclasses.asdict(mark.registry.create(name, dict(params)).params))
    except PluginError as error:
        if error.value == name and not error.key:  # the plug-in itself is wrong, no parameter
            raise SettingError(key, name, str(error)) from error
        inner = f"{mark.params}.{error.key}" if error.key else mark.params
        raise SettingError(inner, error.value, str(error)) from error


def plain(value: Any, levels: int = 100) -> Any:
    """Return a value as TOML and JSON have it, so many levels down.

    Tuples and NumPy's arrays become lists, NumPy's numbers those of Python. What lies deeper stays
    as it is: no scenario is so deep.
    """
    if isinstance(value, np.ndarray | np.generic):
        return value.tolist()
    if not levels:
        return value
    if isinstance(value, Mapping):
        return {key: plain(inner, levels - 1) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [plain(inner, levels - 1) for inner in value]
    return value


# --- keys as text -------------------------------------------------------------------------------


def table_at(root: type[BaseModel], path: Sequence[str | int]) -> type[BaseModel] | None:
    """Return the class of the table at a path of keys and list positions, None without a table."""
    table: type[BaseModel] | None = root
    for part in path:
        if isinstance(part, int) or part.isdecimal():
            continue
        field = table.model_fields.get(part) if table is not None else None
        table = table_of(field) if field is not None else None
    return table


def dotted_keys(
    table: type[BaseModel], values: Mapping[str, Any], prefix: str = ""
) -> Iterator[str]:
    """Yield all dotted keys of a table, with the parameters of the plug-ins that values name."""
    for name, field in table.model_fields.items():
        inner, value = table_of(field), values.get(name)
        if inner is None:
            yield f"{prefix}{name}"
        elif isinstance(value, list | tuple):
            for i, entry in enumerate(value):
                yield from dotted_keys(inner, _table(entry), f"{prefix}{name}.{i}.")
        else:
            yield from dotted_keys(inner, _table(value), f"{prefix}{name}.")
    for name, mark in chosen_fields(table).items():
        chosen = values.get(name, table.model_fields[name].default)
        for parameter in _parameters(mark, chosen):
            yield f"{prefix}{mark.params}.{parameter}"


def _table(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _parameters(mark: Chosen, chosen: Any) -> list[str]:
    """Return the names of the parameters of a plug-in; none where there is no such plug-in."""
    if not mark.params or not isinstance(chosen, str):
        return []
    try:
        return [field.name for field in dataclasses.fields(mark.registry.get(chosen).Params)]
    except PluginError:
        return []


def has_key(root: type[BaseModel], path: Sequence[str | int]) -> bool:
    """Return whether a class of scenarios has a key; parameters of plug-ins may have any name."""
    table: type[BaseModel] | None = root
    for part in path:
        if table is None:  # inside the parameters of a plug-in
            return True
        if isinstance(part, int) or part.isdecimal():
            continue
        if part not in table.model_fields:
            return False
        table = table_of(table.model_fields[part])
    return True


def selector(root: type[BaseModel], key: str) -> Chosen | None:
    """Return the mark of a dotted key that chooses a plug-in, None for any other key."""
    *path, last = key.split(".")
    table = table_at(root, path)
    return None if table is None else chosen_fields(table).get(last)


def override(root: type[BaseModel], values: dict[str, Any], key: str, value: Any) -> None:
    """Set a dotted key in nested tables and lists.

    A table is merged into the one that is there, key by key.

    Naming another plug-in drops the parameters of the one before. Raises `SettingError` when the
    key leads nowhere.
    """
    _, _, last = key.rpartition(".")
    at, index = _container(values, key, value)
    inner = at.get(last) if isinstance(at, dict) else None
    if isinstance(value, Mapping) and isinstance(inner, dict):
        for part in plugins_first(root, value, f"{key}."):
            override(root, values, f"{key}.{part}", value[part])
        return
    mark = selector(root, key)
    if mark is not None and isinstance(at, dict) and at.get(last) != value:
        at.pop(mark.params, None)
    at[index] = value


def plugins_first(root: type[BaseModel], keys: Mapping[str, Any], prefix: str = "") -> list[str]:
    """Return keys in the order to set them: plug-ins before their parameters."""
    return sorted(keys, key=lambda key: selector(root, f"{prefix}{key}") is None)


def set_key(values: dict[str, Any], key: str, value: Any) -> None:
    """Set a dotted key in nested tables and lists; raises `SettingError` when it leads nowhere."""
    at, last = _container(values, key, value)
    at[last] = value


def _container(values: dict[str, Any], key: str, value: Any) -> tuple[Any, Any]:
    """Return the table or list that holds a dotted key, and the key's last part as its index.

    A table that is missing on the way is made.
    """
    *path, last = key.split(".")
    if len(path) > DEEPEST:
        raise SettingError(key, value, f"{len(path) + 1} parts, a key has at most {DEEPEST + 1}")
    at: Any = values
    for part in path:
        if isinstance(at, list):
            at = at[_position(at, part, key, value)]
        else:
            at = at.setdefault(part, {})
        if not isinstance(at, dict | list):
            raise SettingError(key, value, f"{part!r} is a value, not a table")
    return at, _position(at, last, key, value) if isinstance(at, list) else last


def _position(at: list[Any], part: str, key: str, value: Any) -> int:
    """Return the number of a list's entry."""
    if part.isascii() and part.isdecimal() and int(part) < len(at):
        return int(part)
    numbers = f"entries are numbered 0..{len(at) - 1}" if at else "the list is empty"
    raise SettingError(key, value, f"there is no entry {part!r}; {numbers}")
