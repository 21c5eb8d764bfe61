"""Finding plug-ins by name: a file in the folder, a Python entry point, or `path/to/file.py:ClassName`."""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import inspect
import pkgutil
import sys
from importlib.metadata import entry_points
from pathlib import Path
from types import ModuleType
from typing import Any

from mechanisms.plugin import Plugin, PluginError, nearest


class Registry:
    """The plug-ins of one kind. Looked up lazily, so that importing the house stays cheap."""

    def __init__(self, kind: str, *, package: str, base: str) -> None:
        self.kind = kind
        self.package = package
        self.group = f"fedstake.{kind.replace(' ', '_')}"
        self._base_name = base
        self._shipped: dict[str, type[Plugin]] | None = None

    @property
    def base(self) -> type[Plugin]:
        """The class that every plug-in of this kind inherits from; it lives in the folder's `base.py`."""
        module, _, name = self._base_name.rpartition(":")
        return getattr(importlib.import_module(module or f"{self.package}.base"), name)

    def names(self) -> list[str]:
        """Names of the shipped plug-ins and of those that installed packages announce, sorted."""
        return sorted({*self._folder(), *(e.name for e in entry_points(group=self.group))})

    def all(self) -> list[type[Plugin]]:
        """Every plug-in found by name."""
        return [self.get(name) for name in self.names()]

    def get(self, name: str) -> type[Plugin]:
        """The class behind a name or a `path/to/file.py:ClassName`; raises `PluginError` when there is none."""
        if ":" in name:
            return self._from_path(name)
        shipped = self._folder()
        if name in shipped:
            return shipped[name]
        for entry in entry_points(group=self.group):
            if entry.name == name:
                return self._checked(entry.load(), name)
        raise PluginError(f"no such {self.kind[:-1]}; {nearest(name, self.names())}", "", name)

    def create(self, name: str, params: dict[str, Any] | None = None) -> Any:
        """Find and configure a plug-in in one step."""
        return self.get(name).configure(params or {})

    def fingerprint(self, name: str) -> str:
        """SHA-256 of the source of a plug-in named by path, '' for the others: part of a run's identity."""
        if ":" not in name:
            return ""
        return hashlib.sha256(_split_path(name)[0].read_bytes()).hexdigest()

    def _folder(self) -> dict[str, type[Plugin]]:
        if self._shipped is None:
            package = importlib.import_module(self.package)
            found: dict[str, type[Plugin]] = {}
            for info in pkgutil.iter_modules(package.__path__):
                module = importlib.import_module(f"{self.package}.{info.name}")
                for cls in vars(module).values():
                    if self._defines(module, cls):
                        found[cls.name] = cls
            self._shipped = dict(sorted(found.items()))
        return self._shipped

    def _defines(self, module: ModuleType, cls: Any) -> bool:
        return (
            inspect.isclass(cls)
            and issubclass(cls, self.base)
            and (cls.__module__ + ".").startswith(module.__name__ + ".")
            and not inspect.isabstract(cls)
            and bool(cls.name)
        )

    def _from_path(self, name: str) -> type[Plugin]:
        path, class_name = _split_path(name)
        # The source is part of the key: an edited file is another module, as it is another run.
        source = str(path).encode() + b"\0" + path.read_bytes()
        key = f"fedstake_plugin_{hashlib.sha256(source).hexdigest()[:16]}"
        module = sys.modules.get(key)
        if module is None:
            spec = importlib.util.spec_from_file_location(key, path)
            if spec is None or spec.loader is None:
                raise PluginError(f"cannot import {path.name}; give a Python file", "", name)
            module = importlib.util.module_from_spec(spec)
            sys.modules[key] = module
            try:
                spec.loader.exec_module(module)
            except Exception as error:
                del sys.modules[key]
                raise PluginError(
                    f"{path.name} fails to import: {type(error).__name__}: {error}", "", name
                ) from error
        if not hasattr(module, class_name):
            raise PluginError(f"{path.name} defines no {class_name}", "", name)
        return self._checked(getattr(module, class_name), name)

    def _checked(self, cls: Any, name: str) -> type[Plugin]:
        if not (inspect.isclass(cls) and issubclass(cls, self.base)):
            raise PluginError(f"is not a {self._base_name}", "", name)
        missing = sorted(getattr(cls, "__abstractmethods__", ()))
        if missing:
            raise PluginError(f"does not define {', '.join(missing)}", "", name)
        return cls


def _split_path(name: str) -> tuple[Path, str]:
    file, _, class_name = name.rpartition(":")
    path = Path(file).expanduser()
    if not path.is_file():
        raise PluginError("no such file; write path/to/file.py:ClassName", "", name)
    return path.resolve(), class_name
