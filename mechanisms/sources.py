"""Which files a plug-in named by path consists of: its own, and modules that it brings along."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator, Sequence
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
    for file in found:  # grows meanwhile
        for name in _imports(file):
            found += [module for module in _files_of(name, file.parent) if module not in found]
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


def _imports(file: Path) -> Iterator[str]:
    """Yield the dotted names that a file imports; relative ones begin at its folder."""
    try:
        tree = ast.parse(file.read_bytes())
    except (SyntaxError, ValueError, RecursionError, MemoryError):  # told when it is imported
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            module = node.module or ""
            yield module
            yield from (f"{module}.{alias.name}".lstrip(".") for alias in node.names)


def _files_of(name: str, folder: Path) -> list[Path]:
    """Return the files that importing a dotted name runs: packages on the way, and the module."""
    first, *_ = parts = name.split(".")
    if not first or first in sys.stdlib_module_names:
        return []
    for root in (folder, *_own_roots()):
        if (root / first).is_dir() or (root / f"{first}.py").is_file():
            paths = [root.joinpath(*parts[: i + 1]) for i in range(len(parts))]
            files = [p / "__init__.py" if p.is_dir() else p.with_suffix(".py") for p in paths]
            return [file.resolve() for file in files if file.is_file()]
    return []


def _own_roots() -> Iterator[Path]:
    """Yield the folders of the import path that hold neither installed packages nor the house."""
    for entry in sys.path:
        folder = Path(entry or ".").resolve()
        if folder != OURS and not str(folder).startswith((sys.prefix, sys.base_prefix)):
            yield folder
