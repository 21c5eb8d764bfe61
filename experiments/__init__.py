"""The questions: scenarios, runs, figures, the command line. `from experiments import load_scenario, run`."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from experiments.loader import ScenarioError, load_scenario, preset_names
    from experiments.offpolicy import by_mechanism, compare_payouts
    from experiments.reports import report
    from experiments.results import Results
    from experiments.rundir import RunError, RunResult, open_run
    from experiments.runner import RunFailure, run, run_many
    from experiments.scorecard.winner import compare
    from experiments.sweeps.drive import sweep

_HOME = {
    "ScenarioError": "loader",
    "load_scenario": "loader",
    "preset_names": "loader",
    "by_mechanism": "offpolicy",
    "compare_payouts": "offpolicy",
    "RunError": "rundir",
    "RunResult": "rundir",
    "open_run": "rundir",
    "report": "reports",
    "Results": "results",
    "RunFailure": "runner",
    "run": "runner",
    "run_many": "runner",
    "compare": "scorecard.winner",
    "sweep": "sweeps.drive",
}

__all__ = [
    "Results",
    "RunError",
    "RunFailure",
    "RunResult",
    "ScenarioError",
    "by_mechanism",
    "compare",
    "compare_payouts",
    "load_scenario",
    "open_run",
    "preset_names",
    "report",
    "run",
    "run_many",
    "sweep",
]


def __getattr__(name: str) -> Any:
    """Import on first use: `fedstake --help` should not wait for torch."""
    if name in _HOME:
        return getattr(import_module(f"experiments.{_HOME[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
