"""What all observations have in common: they show what was declared, and cannot be written into."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Mapping
from functools import cache
from types import MappingProxyType
from typing import Any, ClassVar, Self

import numpy as np

from fedstake.errors import FedstakeError
from mechanisms.plugin import nearest


class HiddenError(FedstakeError):
    """A plug-in that reads what it did not declare, or what its run has not got."""


ABSENT: Any = None
"""Default of a field of an observation that is not there in every run."""


class Observation:
    """Base of observations. Their arrays are read-only.

    groups      fields by the name that a plug-in must declare to see them; others are always shown
    declares    the attribute of the plug-in that holds these names
    shown       who that is, as messages say it
    actor       the field with the device that acts on what it sees, or with several; "": none does
    """

    groups: ClassVar[Mapping[str, tuple[str, ...]]] = MappingProxyType({})
    declares: ClassVar[str] = "observes"
    shown: ClassVar[str] = "rules"
    actor: ClassVar[str] = ""

    def __post_init__(self) -> None:
        values = self.__dict__
        for name, value in values.items():
            if isinstance(value, np.ndarray) and value.flags.writeable:
                values[name] = _read_only(value)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):  # Python asks for these itself, at every copy
            raise AttributeError(name)
        known = list(_fields(type(self)))
        raise AttributeError(f"{type(self).__name__} has no {name!r}; {nearest(name, known)}")

    @classmethod
    def names(cls) -> frozenset[str]:
        """Return the names that a plug-in can declare."""
        return frozenset(cls.groups)

    @classmethod
    def condition(cls, group: str) -> str:
        """Return what a plug-in writes to see a group of fields."""
        return f"{cls.declares} = {{{group!r}}}"

    @property
    def who(self) -> str:
        """The devices that act on what they see, in words; empty where none does."""
        if not self.actor:
            return ""
        devices = getattr(self, self.actor)
        if isinstance(devices, int):
            return f"device {devices}" if devices >= 0 else ""
        return f"device{'s' if len(devices) > 1 else ''} {', '.join(map(str, devices))}"

    @classmethod
    def form(cls, names: Collection[str] = ()) -> type[Self]:
        """Return the class of what a plug-in that declares these names sees; see `filled`.

        What it does not declare raises `HiddenError` when it is read.
        """
        own: Any = cls
        shown: type[Self] = _view(own, frozenset(names), frozenset())
        return shown

    @classmethod
    def filled(cls, values: dict[str, Any]) -> Self:
        """Return an observation that holds these values as they are, without any check.

        For worlds that make 10^5 a second: all fields of the form must be there, arrays read-only,
        and the dictionary becomes the observation's own.
        """
        seen: Self = object.__new__(cls)
        object.__setattr__(seen, "__dict__", values)
        return seen

    def shown_to(self, names: Collection[str] = ()) -> Self:
        """Return what a plug-in that declares these names may see.

        Reading anything else of it raises `HiddenError`, which says what to declare.
        """
        cls: Any = type(self)
        own = self.__dict__
        missing = [name for name in _conditional(cls) if own.get(name) is None]
        view = _view(cls, frozenset(names), frozenset(missing))
        if view is cls:
            return self
        seen: Self = object.__new__(view)
        seen.__dict__.update({name: own[name] for name in _fields(view)})
        return seen


class _View:
    """What is left of an observation of which some fields are hidden."""

    def __init__(self, **values: Any) -> None:
        unknown = values.keys() - _fields(type(self)).keys()
        if unknown:
            getattr(self, min(unknown))  # says why it is not there
        self.__dict__.update(values)
        self.__post_init__()  # type: ignore[attr-defined]

    def __repr__(self) -> str:
        values = ", ".join(f"{name}={value!r}" for name, value in self.__dict__.items())
        return f"{type(self).__name__}({values})"

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and self.__dict__ == other.__dict__

    def __hash__(self) -> int:
        return hash(tuple(self.__dict__.values()))


class _Hidden:
    """Stands in the place of a field; an instance that has the field never comes here."""

    def __init__(self, reason: str) -> None:
        self._reason = reason

    def __get__(self, seen: object, owner: type) -> Any:
        raise HiddenError(self._reason)


@cache
def _view(cls: type, names: frozenset[str], missing: frozenset[str]) -> type:
    """Return the class of observations of `cls` that shows these groups, without these fields."""
    hidden: dict[str, Any] = {}
    for group, fields in cls.groups.items():  # type: ignore[attr-defined]
        for name in fields:
            if name not in _fields(cls):
                continue
            if group not in names:
                hidden[name] = _Hidden(_undeclared(cls, group, name))
            elif name in missing:
                hidden[name] = _Hidden(f"{name}: there is none in this run")
    if not hidden:
        return cls
    kept = {name: f for name, f in _fields(cls).items() if name not in hidden}
    bases = (cls,) if issubclass(cls, _View) else (_View, cls)
    namespace = {"__dataclass_fields__": kept, "__module__": cls.__module__, **hidden}
    return type(cls.__name__, bases, namespace)


def _undeclared(cls: Any, group: str, name: str) -> str:
    """Return why a field is hidden, and what to declare."""
    verb = "are" if group.endswith("s") else "is"
    reason = f"{group} {verb} shown only to {cls.shown} with {cls.condition(group)}"
    return reason if name == group else f"{name}: {reason}"


@cache
def _conditional(cls: Any) -> tuple[str, ...]:
    """Return the fields of a class that are there only in some runs."""
    fields = _fields(cls)
    grouped = (name for group in cls.groups.values() for name in group if name in fields)
    return tuple(name for name in grouped if fields[name].default is None)


def _fields(cls: Any) -> dict[str, dataclasses.Field[Any]]:
    fields: dict[str, dataclasses.Field[Any]] = cls.__dataclass_fields__
    return fields


def _read_only(array: np.ndarray) -> np.ndarray:
    """Return a view that cannot be written into; the array itself stays as it is."""
    view = array.view()
    view.flags.writeable = False
    return view
