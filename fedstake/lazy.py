"""Importing the names of a package on first use.

A package lists its names once, as imports under `if TYPE_CHECKING:`, which type checkers and
editors read. The same lines are read here, so that the names exist at run time too and are imported
when they are first asked for.
"""

from __future__ import annotations

import ast
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from typing import Any, NamedTuple


class Home(NamedTuple):
    """Where a public name is defined: a module, and its name there."""

    module: str
    name: str

    def load(self) -> Any:
        """Import the module and return what the name stands for."""
        return getattr(import_module(self.module), self.name)


@cache
def homes(package: str) -> dict[str, Home]:
    """Return the home of each name that a package imports under `if TYPE_CHECKING:`, sorted."""
    found: dict[str, Home] = {}
    for statement in ast.parse(_source(package)).body:
        if isinstance(statement, ast.If) and ast.unparse(statement.test) == "TYPE_CHECKING":
            for line in statement.body:
                if isinstance(line, ast.ImportFrom) and line.module:
                    module = line.module
                    found |= {a.asname or a.name: Home(module, a.name) for a in line.names}
    return dict(sorted(found.items()))


def _source(package: str) -> str:
    spec = find_spec(package)
    loader: Any = spec.loader if spec else None
    source = loader.get_source(package) if loader else None
    if source is None:
        raise ImportError(f"the source of {package} is not installed", name=package)
    return source
