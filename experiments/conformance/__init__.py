"""What every plug-in of a kind promises, as a suite of tests.

`fedstake.check(MyRule)` runs the suite of a plug-in's kind. Under pytest a class inherits it:

    from experiments.conformance import PayoutConformance

    class TestMyRule(PayoutConformance):
        plugin = MyRule

Suites are found by the names that the kinds give them, so that a kind which a protocol brings has
its suite here as well. Suites that draw observations at random need Hypothesis: `fedstake[check]`.
"""

from importlib import import_module
from typing import Any


def suites() -> dict[str, str]:
    """Return the module of each suite by the suite's name."""
    from experiments.kinds import all_kinds

    homes = {"Conformance": "experiments.conformance.common"}
    for registry in all_kinds():
        module, _, name = registry.suite.partition(":")
        if name:
            homes[name] = module
    return homes


def __getattr__(name: str) -> Any:
    """Import a suite on first use."""
    home = None if name.startswith("_") else suites().get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(home), name)


def __dir__() -> list[str]:
    return sorted(suites())
