"""The commands of `fedstake`: one file each.

A file with a function `register(app)`, which adds its command to the application, is found by
walking this folder. `fedstake --help` imports all of them: import what takes time (pandas, torch,
matplotlib) inside the function that needs it.
"""

from __future__ import annotations

from importlib import import_module
from pkgutil import iter_modules

import typer


def register_all(app: typer.Typer) -> None:
    """Add every command of this folder, by name."""
    for name in sorted(module.name for module in iter_modules(__path__)):
        import_module(f"{__name__}.{name}").register(app)
