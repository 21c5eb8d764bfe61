"""Keys that act under some values of other keys only: marked where they stand, refused elsewhere.

A key that cannot act keeps its default, so that what decides nothing is no part of a run's identity
and nobody believes to have changed something.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from pydantic import BaseModel

from mechanisms.plugin import PluginError
from sim.keys import SettingError, complete, plain, table_of

Lookup = Callable[[str], Any]
"""Returns the plain value of a key; one without a dot stands beside the marked key."""


@dataclass(frozen=True)
class When:
    """Marks a key that acts under some values of other keys only.

    `Annotated[float, when("partition", "dirichlet")]` is the usual form; this one is general.

    Args:
        keys: the keys that switch it on, for the error.
        acts: whether it acts, given how values are looked up.
        wanted: what those keys must be, to be read after "is".
    """

    keys: tuple[str, ...]
    acts: Callable[[Lookup], bool]
    wanted: str


def when(key: str, *values: Any) -> When:
    """Return the mark of a key that acts where another key has one of some values."""
    return When((key,), lambda of: of(key) in values, " or ".join(map(repr, values)))


def when_any(*keys: str, wanted: str = "above 0") -> When:
    """Return the mark of a key that acts where one of some keys is not 0 and not empty."""
    return When(keys, lambda of: any(of(key) for key in keys), wanted)


@dataclass(frozen=True)
class SwitchedOff:
    """A key that a scenario gives and that cannot act: its place, its value, and what it needs.

    `needs` are the dotted keys that switch it on, `found` their present values.
    """

    path: tuple[str | int, ...]
    value: Any
    default: Any
    wanted: str
    needs: tuple[str, ...]
    found: tuple[Any, ...]

    @property
    def key(self) -> str:
        """Its dotted key."""
        return ".".join(map(str, self.path))

    @property
    def error(self) -> SettingError:
        """What is wrong with giving it."""
        expected = f"acts only where {' or '.join(self.needs)} is {self.wanted}"
        scalars = [repr(value) for value in self.found if not isinstance(value, list | tuple)]
        if scalars:
            expected += f", and it is {' and '.join(scalars)}"
        return SettingError(self.key, self.value, expected)


@cache
def marks_of(table: type[BaseModel]) -> Mapping[str, tuple[When, ...]]:
    """Return the marks of each key of a table that has some."""
    found = {}
    for name, field in table.model_fields.items():
        marks = tuple(mark for mark in field.metadata if isinstance(mark, When))
        if marks:
            found[name] = marks
    return found


@cache
def defaults_of(table: type[BaseModel]) -> Mapping[str, Any]:
    """Return the plain default of each marked key of a table."""
    full = complete(table, {})
    return {
        name: full.get(name, plain(table.model_fields[name].default)) for name in marks_of(table)
    }


def switched_off(root: type[BaseModel], values: Mapping[str, Any]) -> Iterator[SwitchedOff]:
    """Yield the keys in plain values of a scenario that cannot act, default or not.

    The values need not be checked yet: what has the wrong type counts as not given.
    """
    yield from _walk(root, values, (), _Values(root, values))


def _walk(
    table: type[BaseModel], values: Mapping[str, Any], path: tuple[str | int, ...], all_: _Values
) -> Iterator[SwitchedOff]:
    """Yield the keys of a table and of the tables in it that cannot act."""
    for name, value in values.items():
        if name not in table.model_fields:
            continue
        inner = table_of(table.model_fields[name])
        if inner is not None and isinstance(value, Mapping):
            yield from _walk(inner, value, (*path, name), all_)
        elif inner is not None and isinstance(value, list | tuple):
            for i, entry in enumerate(value):
                if isinstance(entry, Mapping):
                    yield from _walk(inner, entry, (*path, name, i), all_)
        of = all_.beside(table, values)
        idle = [mark for mark in marks_of(table).get(name, ()) if not _acts(mark, of)]
        if idle:
            yield _off(table, (*path, name), value, idle[0], of)


def _off(
    table: type[BaseModel], path: tuple[str | int, ...], value: Any, mark: When, of: Lookup
) -> SwitchedOff:
    """Return what is to be said of a key of a table that a mark switches off."""
    needs = []
    for key in mark.keys:
        place = path[:-1] if key in table.model_fields else ()
        needs.append(".".join(map(str, (*place, key))))
    default = defaults_of(table)[str(path[-1])]
    return SwitchedOff(path, value, default, mark.wanted, tuple(needs), tuple(map(of, mark.keys)))


def _acts(mark: When, of: Lookup) -> bool:
    """Return whether a key acts; a wrong plug-in is refused elsewhere, with the reason."""
    try:
        return mark.acts(of)
    except PluginError:
        return True


@dataclass(frozen=True)
class _Values:
    """Plain values of a scenario, with the defaults of what is not given."""

    root: type[BaseModel]
    values: Mapping[str, Any]

    def beside(self, table: type[BaseModel], values: Mapping[str, Any]) -> Lookup:
        """Return how keys are looked up from a key of a table."""

        def of(key: str) -> Any:
            first, *rest = key.split(".")
            if not rest and first in table.model_fields:
                return _value(table, values, [first])
            return _value(self.root, self.values, [first, *rest])

        return of


def _value(table: type[BaseModel], values: Mapping[str, Any], path: Sequence[str]) -> Any:
    """Return the value at a path of keys, its default where it is not given.

    None where the scenario has no such key.
    """
    name, *rest = path
    field = table.model_fields.get(name)
    if field is None:
        return None
    inner = table_of(field)
    if rest and inner is not None:
        given = values.get(name)
        return _value(inner, given if isinstance(given, Mapping) else {}, rest)
    if name in values:
        return values[name]
    return plain(field.get_default(call_default_factory=True))


# --- dropping -----------------------------------------------------------------------------------


def gives(changes: Mapping[str, Any], path: Sequence[str | int]) -> bool:
    """Return whether changes, dotted keys or tables, give the key at a path themselves."""
    for key, value in changes.items():
        parts = key.split(".")
        if parts == [str(part) for part in path[: len(parts)]]:
            return _holds(value, path[len(parts) :])
    return False


def _holds(value: Any, path: Sequence[str | int]) -> bool:
    """Return whether a plain value has something at a path."""
    for part in path:
        if isinstance(value, Mapping) and part in value:
            value = value[str(part)]
        elif isinstance(value, list | tuple) and isinstance(part, int) and part < len(value):
            value = value[part]
        else:
            return False
    return True


def drop_switched_off(
    root: type[BaseModel],
    values: Mapping[str, Any],
    stays: Callable[[tuple[str | int, ...]], bool],
) -> list[SwitchedOff]:
    """Remove keys that cannot act from plain values, but those that stay; return the removed."""
    dropped = [off for off in switched_off(root, values) if not stays(off.path)]
    for off in dropped:
        at: Any = values
        for part in off.path[:-1]:
            at = at[part]
        at.pop(off.path[-1])
    return dropped
