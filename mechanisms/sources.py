"""Which files a plug-in named by path consists of: its own, and modules that it brings along."""

from __future__ import annotations

import ast
import sys
from collections.abc import Sequence
from functools import lru_cache
from importlib.util import cache_from_source
from pathlib import Path

OURS = Path(__file__).resolve().parent.parent
_imported_as: dict[str, bytes] = {}
"""By path the source of each module of a plug-in as it was when it was last imported."""


def local_sources(path: Path) -> list[Path]:
    """Return a Python file and all modules that it imports from its own folder, itself first.

    Modules elsewhere on the import path count as well, unless they are installed or belong to the
    house: versions tell those apart. Imports are read from the source; nothing is run. A file that
    is no Python imports nothing.
    """
    found = [path]
    roots = _own_roots(tuple(sys.path), Path.cwd())
    for file in found:  # grows meanwhile
        for name in _imports(file.read_bytes()):
            files = _files_of(name, (file.parent, *roots))
            found += [module for module in files if module not in found]
    return [path, *sorted(found[1:])]


def forget_changed(files: Sequence[Path]) -> None:
    """Forget imported modules whose files have changed, so that the next import reads them."""
    for file in files:
        source = file.read_bytes()
        before = _imported_as.get(str(file), source)
        _imported_as[str(file)] = source
        if before != source:
            _forget(str(file))


def _forget(file: str) -> None:
    # Its compiled form goes too: that is told apart by size and whole seconds only.
    Path(cache_from_source(file)).unlink(missing_ok=True)
    loaded = [name for name, m in sys.modules.items() if getattr(m, "__file__", None) == file]
    for name in loaded:
        del sys.modules[name]


@lru_cache(maxsize=256)  # a plug-in is looked up several times for every scenario
def _imports(source: bytes) -> tuple[str, ...]:
    """Return the dotted names that a source imports; relative ones begin at its folder.

    Names of the standard library are left out.
    """
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError):  # told when it is imported
        return ()
    names: list[str] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names += (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            module = node.module or ""
            names.append(module)
            names += (f"{module}.{alias.name}".lstrip(".") for alias in node.names)
    return tuple(name for name in dict.fromkeys(names) if _may_be_local(name))


def _may_be_local(name: str) -> bool:
    """Return whether a dotted name can be that of a file of the user's own."""
    first = name.partition(".")[0]
    return first != "" and first not in sys.stdlib_module_names


def _files_of(name: str, roots: Sequence[Path]) -> list[Path]:
    """Return the files that importing a dotted name runs: packages on the way, and the module."""
    first, *_ = parts = name.split(".")
    for root in roots:
        if (root / first).is_dir() or (root / f"{first}.py").is_file():
            paths = [root.joinpath(*parts[: i + 1]) for i in range(len(parts))]
            files = [p / "__init__.py" if p.is_dir() else p.with_suffix(".py") for p in paths]
            return [file.resolve() for file in files if file.is_file()]
    return []


@lru_cache(maxsize=8)
def _own_roots(entries: tuple[str, ...], here: Path) -> tuple[Path, ...]:
    """Return the folders of an import path that hold neither installed packages nor the house."""
    folders = [(here / entry).resolve() for entry in entries]
    installed = (sys.prefix, sys.base_prefix)
    return tuple(f for f in folders if f != OURS and not str(f).startswith(installed))
