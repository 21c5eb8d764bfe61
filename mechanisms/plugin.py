"""Metadata and typed parameters of every plug-in: rule, behaviour, data set or model."""

from __future__ import annotations

import dataclasses
import difflib
import inspect
import json
import math
import operator
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, ClassVar, get_args, get_origin, get_type_hints

from fedstake.errors import InputError
from fedstake.outside import message_of, shown

BY_PATH = "fedstake_plugin_"
"""Begins the names of modules that are imported by path."""


class PluginError(InputError):
    """A plug-in that cannot be found, or wrong parameters; `key` is relative to its table."""

    def __init__(self, message: str, key: str = "", value: Any = None) -> None:
        super().__init__(message, key, value)
        self.message, self.key, self.value = message, key, value

    def __str__(self) -> str:
        return self.message


def param(
    default: Any = dataclasses.MISSING,
    *,
    help: str,
    unit: str = "",
    ge: float | None = None,
    gt: float | None = None,
    le: float | None = None,
    lt: float | None = None,
    choices: tuple[str, ...] | None = None,
    devices: bool = False,
) -> Any:
    """Declare one parameter of a plug-in: default, meaning, unit and bounds.

    `devices`: it holds numbers of devices, so that the ones of a scenario are known to be there.
    """
    bounds = {"ge": ge, "gt": gt, "le": le, "lt": lt}
    metadata = {
        "help": help,
        "unit": unit,
        "choices": choices,
        "bounds": {k: v for k, v in bounds.items() if v is not None},
        "devices": devices,
    }
    return dataclasses.field(default=default, metadata=metadata)


@dataclass(frozen=True)
class NoParams:
    """Parameters of plug-ins that have none."""


def device_numbers(params: Any) -> Iterator[tuple[str, int]]:
    """Yield every number of a device that parameters hold, with the key below the parameters."""
    for field in dataclasses.fields(params):
        value = getattr(params, field.name)
        if field.metadata.get("devices"):
            numbers = value if isinstance(value, tuple) else (value,)
            yield from ((field.name, number) for number in numbers)
        elif isinstance(value, tuple):
            for i, entry in enumerate(value):
                if dataclasses.is_dataclass(entry):
                    inner = device_numbers(entry)
                    yield from ((f"{field.name}.{i}.{key}", number) for key, number in inner)


class Plugin:
    """Base of everything that a scenario finds by name.

    Subclasses set `name` (unique in its registry), `summary`, `reference` (paper and equation, or
    the document it comes from), each of them one short line, and `stochastic` (draws random numbers
    from the stream it is handed). Those with parameters define a frozen dataclass `Params` inside,
    its fields made with `param`, their defaults values that TOML has, and annotate
    `params: Params`, so that mypy checks every use.
    """

    name: ClassVar[str] = ""
    summary: ClassVar[str] = ""
    reference: ClassVar[str] = ""
    stochastic: ClassVar[bool] = False
    Params: ClassVar[type] = NoParams
    sees: ClassVar[Any] = None
    """Class of the observations of which it declares what it is shown; None: it is shown all."""
    examples: ClassVar[tuple[Mapping[str, Any], ...]] = ({},)
    """Parameters of each configuration that the conformance suite tries."""
    levers: ClassVar[tuple[str, ...]] = ()
    """Parameters, numbers, of which more makes deviating dearer: audits search the least enough."""
    doses: ClassVar[Mapping[str, tuple[Any, ...]]] = {}
    """Of a behaviour: parameters along each of which audits draw its gain, with the values."""
    params: Any
    pieces: tuple[Plugin, ...] = ()
    """The plug-ins that it is made of, which errors name in its place."""

    def __init__(self, params: Any = None) -> None:
        self.params = self.Params() if params is None else params

    def __repr__(self) -> str:
        shown = "" if type(self.params) is NoParams else self.params
        return f"{type(self).__name__}({shown})"

    def used(self, n: int) -> Mapping[str, int]:
        """Return by name what `n` inputs leave of the parameters that too few of them cut down.

        Inputs are the updates of an aggregation rule or transform, the samples of a validation
        rule, the devices that can sit on a verifier's committee. What is less than was asked for is
        recorded in table `reduced`.
        """
        return {}

    @classmethod
    def configure(cls, values: Mapping[str, Any]) -> Any:
        """Build the plug-in from a table of a scenario.

        Raises `PluginError` that names the key, the value and what would be right, and `InputError`
        for an `__init__` of its own that leaves out what every plug-in has.
        """
        params = parse_params(cls.Params, values)
        try:
            made = cls(params)
        except TypeError:
            if _takes_one(cls):
                raise
            raise _badly_made(cls, "must take params, as __init__(self, params)") from None
        if not hasattr(made, "params"):
            raise _badly_made(cls, "sets no params")
        return made

    @classmethod
    def metadata(cls) -> dict[str, Any]:
        """Return what `fedstake list` prints and the conformance suite checks."""
        return {
            "name": cls.name,
            "summary": cls.summary,
            "reference": cls.reference,
            "stochastic": cls.stochastic,
            "params": [_described(f) for f in dataclasses.fields(cls.Params)],
        }


def _takes_one(cls: type) -> bool:
    """Return whether a class can be called with one argument."""
    try:
        inspect.signature(cls).bind(None)
    except TypeError:
        return False
    return True


def _badly_made(cls: type, message: str) -> InputError:
    """Return the error of a plug-in whose own `__init__` does not do what is relied on."""
    code = getattr(cls.__init__, "__code__", None)  # type: ignore[misc]
    place = f"{Path(code.co_filename).name}:{code.co_firstlineno} in " if code else ""
    return InputError(
        f"{place}{cls.__name__}.__init__: {message}; call super().__init__(params) in it"
    )


def check_declared(plugin: Plugin) -> None:
    """Raise `ValueError` when a plug-in declares to see what its kind is never shown."""
    if plugin.sees is None:
        return
    attribute, known = plugin.sees.declares, sorted(plugin.sees.names())
    declared = getattr(plugin, attribute)
    if not isinstance(declared, frozenset | set):
        example = f"{attribute} = frozenset({{{known[0]!r}}})"
        raise ValueError(f"{attribute} = {declared!r}: must be a set of names, as {example}")
    for name in sorted(declared - set(known)):
        raise ValueError(f"{attribute}: there is no {name!r} to see; {nearest(name, known)}")


def _described(field: dataclasses.Field[Any]) -> dict[str, Any]:
    default = None if field.default is dataclasses.MISSING else field.default
    shown = {key: field.metadata.get(key) for key in ("help", "unit", "choices", "bounds")}
    return {"name": field.name, "default": default, **shown}


def nearest(word: str, known: list[str]) -> str:
    """Return 'did you mean X?' for a close known word, else the list of known ones."""
    close = difflib.get_close_matches(word, known, n=1, cutoff=0.6)
    if close:
        return f"did you mean {close[0]!r}?"
    return f"known: {', '.join(known)}" if known else "it takes none"


def parse_params(params_type: type, values: Mapping[str, Any]) -> Any:
    """Check `values` against a parameter dataclass: names, types, bounds and choices."""
    fields, hints = _typed_fields(params_type)
    parsed: dict[str, Any] = {}
    for key, value in values.items():
        if key not in fields:
            raise PluginError(f"unknown parameter; {nearest(key, list(fields))}", key, value)
        parsed[key] = _check(fields[key], hints[key], value)
    for key, f in fields.items():
        required = f.default is dataclasses.MISSING and f.default_factory is dataclasses.MISSING
        if required and key not in parsed:
            raise PluginError(f"missing; {f.metadata.get('help', '')}", key)
    try:
        return params_type(**parsed)
    except ValueError as error:  # a __post_init__ that checks parameters against each other
        if isinstance(error, PluginError):
            raise
        raise PluginError(message_of(error), "", dict(values)) from error


def check_defaults(params_type: Any) -> None:
    """Raise `PluginError` unless a class declares parameters whose defaults a file can hold."""
    if not isinstance(params_type, type) or not dataclasses.is_dataclass(params_type):
        raise PluginError("must be a dataclass whose fields are made with param")
    try:
        fields, hints = _typed_fields(params_type)
    except Exception as error:  # a type that is only a name may be anything
        raise PluginError(f"its types cannot be found ({message_of(error)})") from error
    for key, field in fields.items():
        if field.default is dataclasses.MISSING:
            continue
        try:
            _check_plain(_typed(key, hints[key], field.default))
        except (PluginError, TypeError, ValueError, RecursionError) as error:
            wrong = f"default {shown(repr(field.default))} {message_of(error)}"
            raise PluginError(f"parameter {key}: {wrong}") from error


def _check_plain(value: Any) -> None:
    """Raise `PluginError` for what is no finite number, and for what JSON has no value for."""
    if isinstance(value, float) and not math.isfinite(value):
        raise PluginError("must be a finite number")
    tables = isinstance(value, tuple) and any(map(dataclasses.is_dataclass, value))
    plain = [dataclasses.asdict(entry) for entry in value] if tables else value
    try:
        json.dumps(plain, allow_nan=False)
    except (TypeError, ValueError):
        raise PluginError("must be a number, a text, a truth or a list of these") from None


@lru_cache(maxsize=1_024)  # a rule is created for every block of a tape
def _typed_fields(params_type: type) -> tuple[dict[str, dataclasses.Field[Any]], dict[str, Any]]:
    """Return fields and types by name."""
    fields = {f.name: f for f in dataclasses.fields(params_type)}
    return fields, get_type_hints(params_type)


def _table_type(hint: Any) -> type | None:
    """Return D for `tuple[D, ...]` with a dataclass D made of `param` fields: a list of tables."""
    if get_origin(hint) is not tuple:
        return None
    inner: type = get_args(hint)[0]
    return inner if dataclasses.is_dataclass(inner) else None


def _parse_entry(table: type, entry: Any, key: str) -> Any:
    if isinstance(entry, table):
        return entry
    if not isinstance(entry, Mapping):
        raise PluginError("must be a table", key, entry)
    try:
        return parse_params(table, entry)
    except PluginError as error:
        raise PluginError(str(error), f"{key}.{error.key}".rstrip("."), error.value) from error


_BOUNDS = {
    "ge": (">=", operator.ge),
    "gt": (">", operator.gt),
    "le": ("<=", operator.le),
    "lt": ("<", operator.lt),
}


def _check(field: dataclasses.Field[Any], hint: Any, value: Any) -> Any:
    """Check one value: its type, then choices and bounds."""
    value = _typed(field.name, hint, value)
    if isinstance(value, float) and not math.isfinite(value):
        raise PluginError("must be a finite number", field.name, value)
    choices = field.metadata.get("choices")
    if choices and value not in choices:
        raise PluginError(f"must be one of {', '.join(choices)}", field.name, value)
    items = value if isinstance(value, tuple) else (value,)
    for kind, bound in field.metadata.get("bounds", {}).items():
        sign, holds = _BOUNDS[kind]
        if not all(holds(item, bound) for item in items):
            raise PluginError(f"must be {sign} {bound:g}", field.name, value)
    return value


def _typed(key: str, hint: Any, value: Any) -> Any:
    """Return the value in its declared type: lists become tuples, tables dataclasses."""
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if hint in (bool, int, float, str):
        if type(value) is not hint:
            raise PluginError(f"must be of type {hint.__name__}", key, value)
        return value
    if hint == tuple[int, ...]:
        if not isinstance(value, list | tuple) or any(type(v) is not int for v in value):
            raise PluginError("must be a list of integers", key, value)
        return tuple(value)
    if (table := _table_type(hint)) is not None:
        if not isinstance(value, list | tuple):
            raise PluginError("must be a list of tables", key, value)
        return tuple(_parse_entry(table, entry, f"{key}.{i}") for i, entry in enumerate(value))
    return value
