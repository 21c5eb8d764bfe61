"""`fedstake.check`: the conformance suite of a plug-in as a function, without a test runner."""

from __future__ import annotations

import inspect
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from typing import Any
from unittest import SkipTest

from experiments.kinds import all_kinds, listed
from fedstake.errors import FedstakeError, InputError
from mechanisms.plugin import Plugin, nearest
from mechanisms.registry import Registry, import_by_path

COMMON = "experiments.conformance.common:Conformance"


@dataclass(frozen=True)
class Failure:
    """One check that a plug-in failed: its name, what is wrong, and the exception itself."""

    check: str
    message: str
    error: Exception


@dataclass(frozen=True)
class Checked:
    """What `check` found: the plug-in, the word for its kind, the checks passed and skipped."""

    plugin: type[Plugin]
    kind: str
    passed: tuple[str, ...]
    skipped: tuple[str, ...] = ()

    def __str__(self) -> str:
        lines = [f"{self.plugin.__name__} ({self.kind}): {len(self.passed)} checks passed"]
        lines += [f"  {name}" for name in self.passed]
        lines += [f"  skipped: {name}" for name in self.skipped]
        return "\n".join(lines)

    __repr__ = __str__


class CheckError(FedstakeError):
    """A plug-in that does not keep what its kind promises; `failures` holds each failed check."""

    def __init__(self, plugin: type, kind: str, failures: list[Failure], checks: int) -> None:
        super().__init__(plugin, kind, failures, checks)
        self.plugin, self.kind, self.checks = plugin, kind, checks
        self.failures = tuple(failures)

    def __str__(self) -> str:
        fails = f"fails {len(self.failures)} of {self.checks} checks"
        lines = [f"{self.plugin.__name__} ({self.kind}) {fails}"]
        lines += [f"  {failure.check}: {failure.message}" for failure in self.failures]
        return "\n".join(lines)


def check(plugin: type[Plugin] | str, name: str | None = None) -> Checked:
    """Run the conformance suite of a plug-in's kind; return the checks that it passed.

    Each set of parameters in the plug-in's `examples` is tried.

    Args:
        plugin: a class, or `path/to/file.py:ClassName`; with `name` a kind of `fedstake list`.
        name: the plug-in's name in that kind.

    Raises `CheckError`, which lists every failed check, and `InputError` for what is no plug-in.
    """
    if not __debug__:
        raise InputError("check needs Python's assertions: run without -O and PYTHONOPTIMIZE")
    cls, registry = _found(plugin, name)
    missing = sorted(getattr(cls, "__abstractmethods__", ()))
    if missing:
        error = NotImplementedError(f"does not define {', '.join(missing)}")
        raise CheckError(cls, registry.one, [Failure("methods", str(error), error)], 1)

    suite = type(f"Check{cls.__name__}", (_suite(registry),), {"plugin": cls})()
    passed, skipped, failures = [], [], []
    for words, test in _tests(suite):
        try:
            test()
        except SkipTest as reason:
            skipped.append(f"{words} ({reason})")
        except Exception as error:
            failures.append(Failure(words, _message(error, cls), error))
        else:
            passed.append(words)

    if failures:
        checks = len(passed) + len(failures)
        raise CheckError(cls, registry.one, failures, checks) from failures[0].error
    return Checked(cls, registry.one, tuple(passed), tuple(skipped))


def _found(plugin: type[Plugin] | str, name: str | None) -> tuple[type[Plugin], Registry]:
    """Return the class that is meant, and the registry of its kind."""
    if name is not None:
        return _named(str(plugin), name)
    if isinstance(plugin, str):
        if ":" not in plugin:
            raise InputError(
                f"check: {plugin!r}: give a class, path/to/file.py:Class, or kind and name"
            )
        plugin = import_by_path(plugin)
    if not inspect.isclass(plugin):
        raise InputError(f"check: {plugin!r} is no class; give the class, not an object of it")
    for registry in all_kinds():
        if issubclass(plugin, registry.base):
            return plugin, registry
    bases = ", ".join(registry.base.__name__ for registry in all_kinds())
    raise InputError(f"check: {plugin.__name__} is no plug-in; inherit from one of {bases}")


def _named(kind: str, name: str) -> tuple[type[Plugin], Registry]:
    """Return the plug-in of a kind, or of one of the kinds that are listed under that name."""
    under: dict[str, list[Registry]] = {registry.kind: [registry] for registry in all_kinds()}
    for word, registries in listed().items():
        under.setdefault(word, [registry for _, registry in registries])
    if kind not in under:
        raise InputError(f"check: {kind!r}: no such kind; {nearest(kind, list(under))}")
    holders = [registry for registry in under[kind] if name in registry.names()]
    if len(holders) > 1:
        kinds = ", ".join(registry.kind for registry in holders)
        raise InputError(f"check: {name!r} is in more than one kind; say which: {kinds}")
    registry = (holders or under[kind])[0]
    return registry.get(name), registry


def _suite(registry: Registry) -> type:
    """Return the suite class of a kind; raise `InputError` when Hypothesis is not installed."""
    module, _, name = (registry.suite or COMMON).partition(":")
    try:
        return getattr(import_module(module), name)
    except ModuleNotFoundError as error:
        if error.name != "hypothesis":
            raise
        message = f"check of a {registry.one} needs hypothesis: pip install 'fedstake[check]'"
        raise InputError(message) from None


def _tests(suite: Any) -> Iterator[tuple[str, Callable[[], None]]]:
    """Yield the name in words and the function of each test, in the order in which they stand."""
    names = [name for cls in reversed(type(suite).__mro__) for name in vars(cls)]
    for name in dict.fromkeys(names):
        if name.startswith("test_"):
            test = getattr(type(suite), name)
            words = name.removeprefix("test_").replace("_", " ")
            yield words, partial(getattr(test, "fixed", test), suite)


def _message(error: Exception, plugin: type) -> str:
    """Return what is wrong in one line; of an exception of the plug-in's own also the line."""
    frames = traceback.extract_tb(error.__traceback__)
    text = str(error).strip().splitlines()
    if isinstance(error, AssertionError):
        return text[0] if text else f"does not hold: {frames[-1].line}"
    file = inspect.getsourcefile(plugin)
    lines = [frame.lineno for frame in frames if frame.filename == file]
    where = f" (line {lines[-1]})" if lines else ""
    return ": ".join([type(error).__name__, *text[:1]]) + where
