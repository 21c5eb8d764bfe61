"""The questions: scenarios, runs, sweeps, figures, the command line.

The names of `fedstake` that are defined in this folder can be imported from here as well, but for
those that are modules of it: `experiments.search` is the folder, `fedstake.search` its function.
"""

from pkgutil import iter_modules
from typing import Any

from fedstake.lazy import homes

_MODULES = {module.name for module in iter_modules(__path__)}
_HOMES = {
    n: home
    for n, home in homes("fedstake").items()
    if home.module.startswith("experiments.") and n not in _MODULES
}

__all__ = list(_HOMES)


def __getattr__(name: str) -> Any:
    """Import on first use: `fedstake --help` should not wait for torch."""
    if name in _HOMES:
        return _HOMES[name].load()
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
