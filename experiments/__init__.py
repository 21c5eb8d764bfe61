"""The questions: scenarios, runs, figures, the command line. `from experiments import load_scenario, run`."""

from experiments.loader import ScenarioError, load_scenario, preset_names
from experiments.rundir import RunError, RunResult, open_run
from experiments.runner import RunFailure, run, run_many

__all__ = [
    "RunError",
    "RunFailure",
    "RunResult",
    "ScenarioError",
    "load_scenario",
    "open_run",
    "preset_names",
    "run",
    "run_many",
]
