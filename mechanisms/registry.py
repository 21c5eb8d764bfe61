"""Find plug-ins by name: in a folder, by a Python entry point, or as `path/to/file.py:ClassName`.

Each `Registry` holds the plug-ins of one kind and enters itself into one register of kinds,
`Registry.kinds()`. What lists, documents or checks plug-ins reads that register: declaring a
registry is all that it takes to add a kind.
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import inspect
import os
import pkgutil
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cached_property, lru_cache
from importlib.metadata import EntryPoint, EntryPoints, entry_points
from pathlib import Path
from types import MappingProxyType, ModuleType
from typing import Any, ClassVar

from fedstake.errors import Terminated
from fedstake.interrupts import noticing_interrupts
from fedstake.outside import UnreadableError, line_problem, read_bytes, shown
from mechanisms.failures import described, failure
from mechanisms.plugin import BY_PATH, Plugin, PluginError, check_declared, check_defaults, nearest
from mechanisms.sources import forget_changed, local_sources

_trusted: ContextVar[bool | None] = ContextVar("trusted", default=None)
"""Whether plug-in files may be imported while results are read; None: none are being read."""
_typed: ContextVar[frozenset[str]] = ContextVar("typed", default=frozenset())
"""Plug-ins by path that the user names and not the results."""


@contextmanager
def reading(*, trust: bool = False, own: Iterable[str] = ()) -> Iterator[None]:
    """Hold that nothing in this block imports a plug-in file that results name.

    Results may come from somebody else. Importing one raises `PluginError`.

    Args:
        trust: the user says that the files may be imported; it holds for blocks inside as well.
        own: plug-ins by path that the user names.
    """
    trusted = _trusted.set(trust or bool(_trusted.get()))
    typed = _typed.set(_typed.get() | frozenset(own))
    try:
        yield
    finally:
        _typed.reset(typed)
        _trusted.reset(trusted)


def untrusted() -> bool:
    """Return whether results are being read that nobody said may be trusted; see `reading`."""
    return _trusted.get() is False


def require_trust(name: str) -> None:
    """Raise `PluginError` for a plug-in by path that only the results name; see `reading`."""
    by_path = ":" in name or name.endswith(".py")
    if by_path and untrusted() and name not in _typed.get():
        raise PluginError(
            f"the results name the plug-in file {shown(name)}, imported only with --trust",
            "",
            name,
        )


TEXTS = {"name": 80, "summary": 400, "reference": 400}
"""What a class says of itself in one line, and how many characters each may have."""


class Registry:
    """The plug-ins of one kind, imported on first use so that importing the house stays cheap.

    Args:
        kind: unique name, plural; the entry-point group is `fedstake.<kind>`.
        package: folder of the shipped plug-ins as a Python package, or the one module that defines
            them (`__name__` in a game of one file); "" where none are shipped.
        base: class that every plug-in inherits from: "module:Class", or a "Class" of
            `<package>.base`.
        one: the word for one of them, as messages use it.
        about: one line on what they decide.
        key: scenario key that names one.
        suite: conformance suite as "module:Class"; a string, because suites stand above all rules.
        listed: names under which `fedstake list` shows them, each with the word that stands before
            the plug-ins' own names; by default under `kind`, with none.
    """

    _register: ClassVar[dict[str, Registry]] = {}

    def __init__(
        self,
        kind: str,
        *,
        package: str,
        base: str,
        one: str = "",
        about: str = "",
        key: str = "",
        suite: str = "",
        listed: Mapping[str, str] | None = None,
    ) -> None:
        self.kind = kind
        self.one = one or kind.removesuffix("s")
        self.about = about
        self.key = key
        self.package = package
        self.folder = package.replace(".", "/")
        self.group = f"fedstake.{kind.replace(' ', '_')}"
        self.suite = suite
        self.listed = MappingProxyType({kind: ""} if listed is None else dict(listed))
        self._base_module, _, self._base_name = base.rpartition(":")
        self._base_module = self._base_module or f"{package}.base"
        self._shipped: dict[str, type[Plugin]] | None = None
        self._own: dict[str, type[Plugin] | None] = {}
        self._enter()

    def __repr__(self) -> str:
        return f"Registry({self.kind!r})"

    @classmethod
    def kinds(cls) -> Mapping[str, Registry]:
        """Return the registries made so far; `experiments.kinds.all_kinds` imports all of them."""
        return MappingProxyType(cls._register)

    def _enter(self) -> None:
        """Enter the register of kinds; raise ValueError when another registry has the name."""
        other = self._register.get(self.kind)
        # A module that is imported again declares the same registry again: the new one replaces it.
        same = other and (other.package, other._base_name) == (self.package, self._base_name)
        edited = other and BY_PATH in other.package and BY_PATH in self.package
        if other and not same and not edited:
            raise ValueError(
                f"two kinds of plug-ins are called {self.kind!r}: "
                f"{other._declared()} and {self._declared()}"
            )
        self._register[self.kind] = self

    def _declared(self) -> str:
        return f"{self._base_name} in {self.folder or self._base_module}"

    @property
    def base(self) -> type[Plugin]:
        """The class that every plug-in of this kind inherits from."""
        return getattr(importlib.import_module(self._base_module), self._base_name)

    def names(self) -> list[str]:
        """Return the names of shipped plug-ins and of installed entry points, sorted."""
        announced = {entry.name for entry in announced_in(self.group)}
        return sorted(announced | self._folder().keys())

    def all(self) -> list[type[Plugin]]:
        """Return every plug-in that is found by name."""
        return [self.get(name) for name in self.names()]

    def get(self, name: str) -> type[Plugin]:
        """Return the class of a name or a `path/to/file.py:ClassName`; raise `PluginError`."""
        if ":" in name or name.endswith(".py"):
            return self._from_file(name)
        shipped = self._find(name)
        if shipped is not None:
            return shipped
        for entry in announced_in(self.group):
            if entry.name == name:
                return self._checked(_loaded(entry), name)
        raise PluginError(f"no such {self.one}; {nearest(name, self.names())}", "", name)

    def _from_file(self, name: str) -> type[Plugin]:
        """Return a class by path; where the name names none, say which of the file would do."""
        module, class_name = _module_of(name)
        if not class_name or not hasattr(module, class_name):
            written, _, _ = name.rpartition(":")
            fit = [f"{written or name}:{cls.__name__}" for cls in self._defined(module)]
            wrong = f"the file defines no {class_name}" if class_name else "names no class"
            right = f"write {' or '.join(fit)}" if fit else f"there is no {self._base_name} in it"
            raise PluginError(f"{wrong}; {right}", "", name)
        return self._checked(getattr(module, class_name), name)

    def create(self, name: str, params: dict[str, Any] | None = None) -> Any:
        """Find and configure a plug-in in one step."""
        plugin = self.get(name)
        try:
            made = plugin.configure(params or {})
        except PluginError:
            raise
        except Exception as error:  # whatever a constructor may raise
            raise PluginError(str(failure(error) or described(error)), "", name) from error
        try:
            check_declared(made)
        except ValueError as error:
            raise PluginError(str(error), "", name) from None
        return made

    def fingerprint(self, name: str) -> str:
        """Return the SHA-256 of the source of a plug-in named by path, "" for the others.

        Modules that it imports from beside itself count. It is part of a run's identity.
        """
        if ":" not in name:
            return ""
        return _digest(_split_path(name)[0], name)

    def is_shipped(self, name: str) -> bool:
        """Return whether a name is that of a plug-in of the house."""
        return self._find(name) is not None

    def is_known(self, name: str) -> bool:
        """Return whether a name is that of a shipped plug-in or of an installed entry point."""
        return self.is_shipped(name) or name in self.names()

    def _find(self, name: str) -> type[Plugin] | None:
        """Return a shipped plug-in; None where no file of the folder defines one of that name."""
        return self._in_own_file(name) or self._folder().get(name)

    def _in_own_file(self, name: str) -> type[Plugin] | None:
        """Return a shipped plug-in whose file bears its name; None: it may be in another.

        The other files of the folder are not imported.
        """
        if name not in self._own:
            file = name.replace("-", "_")
            modules = [self._module(file)] if file in self._files else []
            defined = [cls for module in modules for cls in self._defined(module)]
            self._own[name] = next((cls for cls in defined if cls.name == name), None)
        return self._own[name]

    @cached_property
    def _files(self) -> list[str]:
        """The modules of the folder of shipped plug-ins; none where a single file holds them."""
        if not self.package:
            return []
        home = importlib.import_module(self.package)
        return [info.name for info in pkgutil.iter_modules(getattr(home, "__path__", []))]

    def _module(self, file: str) -> ModuleType:
        return importlib.import_module(f"{self.package}.{file}")

    def _folder(self) -> dict[str, type[Plugin]]:
        """Return the shipped plug-ins by name."""
        if self._shipped is None:
            found = {cls.name: cls for module in self._modules() for cls in self._defined(module)}
            self._shipped = dict(sorted(found.items()))
        return self._shipped

    def _modules(self) -> list[ModuleType]:
        if not self.package:
            return []
        home = importlib.import_module(self.package)
        if not hasattr(home, "__path__"):  # one file holds the kind and its plug-ins
            return [home]
        return [self._module(file) for file in self._files]

    def _defined(self, module: ModuleType) -> list[type[Plugin]]:
        """Return the plug-ins that a module, or for a package any module inside it, defines."""
        return [value for value in vars(module).values() if self._defines(module, value)]

    def _defines(self, module: ModuleType, value: Any) -> bool:
        return (
            inspect.isclass(value)
            and issubclass(value, self.base)
            and f"{value.__module__}.".startswith(f"{module.__name__}.")
            and not inspect.isabstract(value)
            and bool(value.name)
        )

    def _checked(self, cls: Any, name: str) -> type[Plugin]:
        if not (inspect.isclass(cls) and issubclass(cls, self.base)):
            raise PluginError(f"is not a {self._base_name}", "", name)
        missing = sorted(getattr(cls, "__abstractmethods__", ()))
        if missing:
            raise PluginError(f"does not define {', '.join(missing)}", "", name)
        if not cls.name:
            raise PluginError("has no name; give the class one, as name = 'mine'", "", name)
        for attribute, most in TEXTS.items():
            wrong = line_problem(getattr(cls, attribute), most)
            if wrong:
                raise PluginError(f"{cls.__name__}.{attribute} {wrong}", "", name)
        try:
            check_defaults(cls.Params)
        except PluginError as error:
            raise PluginError(f"{cls.__name__}.Params: {error}", "", name) from error
        return cls


def announced_in(group: str) -> EntryPoints:
    """Return the entry points of a group.

    They are read again only where a folder of the path has changed: each reading opens a file of
    every installed distribution.
    """
    return _entry_points(group, tuple(map(_stamped, sys.path)))


@lru_cache(maxsize=128)
def _entry_points(group: str, _path: tuple[tuple[str, int], ...]) -> EntryPoints:
    return entry_points(group=group)


def _stamped(folder: str) -> tuple[str, int]:
    """Return a folder and when an entry of it was last made, renamed or removed; 0 for none."""
    try:
        return folder, os.stat(folder or ".").st_mtime_ns
    except OSError:
        return folder, 0


def import_by_path(name: str) -> Any:
    """Return a `path/to/file.py:ClassName`; raise `PluginError` when it cannot be imported."""
    module, class_name = _module_of(name)
    if not hasattr(module, class_name):
        raise PluginError(f"the file defines no {class_name}", "", name)
    return getattr(module, class_name)


def _module_of(name: str) -> tuple[ModuleType, str]:
    """Return the module of a `path/to/file.py:ClassName`, imported, and the name of the class."""
    require_trust(name)
    path, class_name = _split_path(name)
    # The source is part of the key: an edited file is another module, as it is another run.
    source = f"{path}\0{_digest(path, name)}"
    key = f"{BY_PATH}{hashlib.sha256(source.encode()).hexdigest()[:16]}"
    return sys.modules.get(key) or _import_file(path, key, name), class_name


def _import_file(path: Path, key: str, name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(key, path)
    if spec is None or spec.loader is None:
        raise PluginError(f"cannot import {path.name}; give a Python file", "", name)
    module = importlib.util.module_from_spec(spec)
    forget_changed(local_sources(path)[1:])
    sys.modules[key] = module
    with noticing_interrupts() as interrupted, _no_bytecode():
        try:
            spec.loader.exec_module(module)
        except BaseException as error:  # it may even exit
            del sys.modules[key]
            own = isinstance(error, Exception) or failure(error) is not None
            if interrupted() or isinstance(error, Terminated) or not own:
                raise
            message = f"{path.name} fails to import: {described(error)}"
            raise PluginError(message, "", name) from error
    return module


@contextmanager
def _no_bytecode() -> Iterator[None]:
    """Write no compiled files: an edit of the same size in the same second would not be seen."""
    before = sys.dont_write_bytecode
    sys.dont_write_bytecode = True
    try:
        yield
    finally:
        sys.dont_write_bytecode = before


def _loaded(entry: EntryPoint) -> Any:
    """Import what an entry point names; raise `PluginError` when that fails."""
    try:
        return entry.load()
    except Exception as error:
        message = f"{entry.value} fails to import: {described(error)}"
        raise PluginError(message, "", entry.name) from error


def _split_path(name: str) -> tuple[Path, str]:
    file, _, class_name = name.rpartition(":") if ":" in name else (name, "", "")
    path = Path(os.path.expanduser(file))
    if not os.path.isfile(path):
        raise PluginError("no such file; write path/to/file.py:ClassName", "", name)
    return path.resolve(), class_name


def _digest(path: Path, name: str) -> str:
    """Return the SHA-256 of a file, and of the modules that it imports from beside itself."""
    found = hashlib.sha256(_source(path, name))
    for file in local_sources(path)[1:]:
        found.update(f"\0{file.name}\0".encode() + _source(file, name))
    return found.hexdigest()


def _source(path: Path, name: str) -> bytes:
    """Return the bytes of a plug-in's file."""
    try:
        return read_bytes(path)
    except UnreadableError as error:
        raise PluginError(error.reason, "", name) from None
