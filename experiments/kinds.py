"""The kinds of plug-ins that there are, found where they are declared.

A kind is declared by `name = Registry(...)` at the top of any module of `mechanisms`, `agents` or
`sim`, or by a protocol that brings it in `kinds`. `fedstake list`, the reference pages and the
conformance tests go through what is found here; nothing else keeps a list.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

from mechanisms.registry import Registry

FLOORS = ("mechanisms", "agents", "sim")
DECLARATION = re.compile(r"^\w+(?:: \w+)? = Registry\(", re.MULTILINE)


@cache
def homes() -> tuple[str, ...]:
    """Return the modules that declare a kind, from the lowest floor of the house to the highest."""
    return tuple(module for floor in FLOORS for module in _declaring(floor))


def all_kinds() -> tuple[Registry, ...]:
    """Return every registry: the house's in the order of their homes, then what protocols bring.

    A protocol that is played by path brings its kinds once its file has been loaded.
    """
    declared = [kind for home in homes() for kind in _registries(home)]
    brought = [kind for owner in declared for kind in _brought_by(owner)]
    return tuple(dict.fromkeys([*declared, *brought, *Registry.kinds().values()]))


def listed() -> Mapping[str, Sequence[tuple[str, Registry]]]:
    """Return what `fedstake list NAME` shows, by name: registries, each with its lines' prefix."""
    names: dict[str, list[tuple[str, Registry]]] = {}
    for kind in all_kinds():
        for name, prefix in kind.listed.items():
            names.setdefault(name, []).append((prefix, kind))
    return names


def described() -> list[tuple[str, str]]:
    """Return what `fedstake list kinds` shows: each name of `listed` and what is listed there."""
    return [
        (f"{name} ({prefix})" if prefix else name, kind.about)
        for name, registries in listed().items()
        for prefix, kind in registries
    ]


def _declaring(floor: str) -> Iterator[str]:
    """Yield the modules of a top-level package whose source declares a registry, by path."""
    spec = find_spec(floor)
    for root in spec.submodule_search_locations or () if spec else ():
        for path in sorted(Path(root).rglob("*.py")):
            if DECLARATION.search(path.read_text(encoding="utf-8")):
                inner = path.relative_to(root).with_suffix("").parts
                yield ".".join((floor, *inner)).removesuffix(".__init__")


def _registries(module: str) -> list[Registry]:
    values = vars(import_module(module)).values()
    return [value for value in values if isinstance(value, Registry)]


def _brought_by(owner: Registry) -> list[Registry]:
    """Return the registries that plug-ins of a kind bring with them; only protocols bring any."""
    if owner.kind != "protocols":
        return []
    return [kind for plugin in owner.all() for kind in getattr(plugin, "kinds", ())]
