"""Running scenarios: one, or many in processes.

Where a run's tables come from never matters to what is in them.
"""

from __future__ import annotations

import contextlib
import json
import os
import platform
import resource
import subprocess
import time
import traceback
from collections.abc import Callable, Iterable
from concurrent.futures import Executor
from dataclasses import asdict, dataclass
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from experiments import checkpoint
from experiments.loader import load_scenario
from experiments.pool import Task, in_processes, on_executor
from experiments.rundir import (
    RunError,
    RunResult,
    check_place,
    may_replace,
    open_run,
    recover,
    write_file,
    write_run,
)
from sim.scenario import Scenario
from sim.threads import single_threaded
from sim.world import World

OnRound = Callable[[World], None]


@dataclass(frozen=True)
class RunFailure:
    """A run that did not finish: failure is data. `stage` is build, round N or write."""

    run_id: str
    name: str
    seed: int
    stage: str
    error: str
    traceback: str


def run(
    scenario: Scenario | str | Path,
    out: str | Path | None = None,
    *,
    data: str | Path | None = None,
    on_start: OnRound | None = None,
    on_round: OnRound | None = None,
    checkpoint_every: int = 0,
    force: bool = False,
) -> RunResult:
    """Run a scenario and record it. Raises what the run raises; nothing half-written is left.

    Args:
        scenario: what to run; a preset's name or a TOML file will do.
        out: the run directory, by default `results/<name>-<run id>`. A complete run of the same
            scenario there is reused.
        data: folder of data files (default: FEDSTAKE_DATA, else the user's cache).
        on_start: called with the world before its first round.
        on_round: called with the world after every round.
        checkpoint_every: keep a checkpoint beside `out` every so many rounds. A run that was
            interrupted continues from its last checkpoint; of a damaged one it warns, and uses the
            one before.
        force: run again and replace what is there.
    """
    if not isinstance(scenario, Scenario):
        scenario = load_scenario(scenario)
    run_id = scenario.run_id()
    path = Path(out) if out else Path("results") / f"{scenario.name}-{run_id[:12]}"
    check_place(path)
    recover(path)
    saved = path.with_name(path.name + ".checkpoint")
    existing = _existing(path, run_id, force)
    if existing is not None:
        checkpoint.remove(scenario, saved)  # of a run that was killed at its very end
        return existing
    began, cpu = time.perf_counter(), time.process_time()
    resumed = None if force else checkpoint.resume(scenario, saved, data)
    world = resumed or World(scenario, data)
    try:
        if on_start:
            on_start(world)
        for index in world.run():
            if on_round:
                on_round(world)
            if checkpoint_every and index % checkpoint_every == 0 and index < scenario.rounds:
                checkpoint.save(world, saved)
        manifest = _manifest(
            world, time.perf_counter() - began, time.process_time() - cpu, resumed is not None
        )
        result = write_run(path, scenario, world.kernel.tables(), manifest)
    finally:
        world.close()
    checkpoint.remove(scenario, saved)
    return result


def _existing(path: Path, run_id: str, force: bool) -> RunResult | None:
    """Return the run itself when it is there already; raise `RunError` for anything else there."""
    if not path.exists() or not any(path.iterdir()):
        return None
    if force:
        if not may_replace(path):
            raise RunError(
                f"{path}: holds more than a run, --force does not replace that; "
                "choose another --out"
            )
        return None
    existing = open_run(path)
    existing.verify()
    if existing.run_id != run_id:
        raise RunError(
            f"{path}: holds another run ({existing.run_id[:12]}); "
            "choose another --out or use --force"
        )
    return existing


def run_many(
    scenarios: Iterable[Scenario],
    out: str | Path,
    *,
    workers: int | None = None,
    data: str | Path | None = None,
    executor: Executor | None = None,
    in_flight: int | None = None,
    alive: Callable[[], bool] | None = None,
    on_done: Callable[[RunResult | RunFailure], None] | None = None,
) -> list[RunResult | RunFailure]:
    """Run scenarios in processes, each into `out/<run id>`; finished ones are not run again.

    Results in the given order.

    `workers` = 1 runs them in this process. `executor` runs them elsewhere, at most `in_flight`
    handed over at a time (default: all), as long as it is `alive`. A failure is written to
    `out/failures/<run id>.json` and the others go on. Raises `StoppedError` when what runs them
    breaks.
    """
    wanted = list(scenarios)
    folder = Path(out).absolute()  # workers may be elsewhere
    check_place(folder)
    if data is not None:
        data = Path(data).absolute()
    tasks = [(scenario, folder, data) for scenario in wanted]
    done: dict[str, RunResult | RunFailure] = {}

    def keep(outcome: RunResult | RunFailure) -> None:
        done[outcome.run_id] = outcome
        if on_done:
            on_done(outcome)

    def failed(task: Task, error: Exception) -> None:
        keep(_failed(task[0], task[1], "process", error))

    if executor is not None:
        on_executor(executor, execute, tasks, in_flight or max(1, len(tasks)), keep, failed, alive)
    elif workers == 1:
        for task in tasks:
            keep(execute(*task))
    else:
        in_processes(execute, tasks, workers or os.cpu_count() or 1, keep, failed)
    return [done[s.run_id()] for s in wanted]


def execute(scenario: Scenario, folder: Path, data: Path | None) -> RunResult | RunFailure:
    """Execute one run of many; its errors never escape, nor does a plug-in that wants to exit."""
    single_threaded()
    stage = "build"

    def note(world: World) -> None:
        nonlocal stage
        last = world.round_index == scenario.rounds
        stage = "write" if last else f"round {world.round_index + 1}"

    try:
        result = run(scenario, folder / scenario.run_id(), data=data, on_start=note, on_round=note)
        _ = (
            result.manifest
        )  # read here: it travels with the result, and the caller need not find the file
    except (Exception, SystemExit) as error:
        return _failed(scenario, folder, stage, error)
    _failure_file(folder, result.run_id).unlink(missing_ok=True)
    return result


def _failure_file(folder: Path, run_id: str) -> Path:
    return folder / "failures" / f"{run_id}.json"


def _failed(scenario: Scenario, folder: Path, stage: str, error: BaseException) -> RunFailure:
    trace = "".join(traceback.format_exception(error))
    failure = RunFailure(
        scenario.run_id(),
        scenario.name,
        scenario.seed,
        stage,
        f"{type(error).__name__}: {error}",
        trace,
    )
    file = _failure_file(folder, failure.run_id)
    # A full disk must not lose the outcomes of the others; the caller has the failure.
    with contextlib.suppress(OSError):
        file.parent.mkdir(parents=True, exist_ok=True)
        write_file(file, json.dumps(asdict(failure), indent=2) + "\n")
    return failure


PACKAGES = ("fedstake", "mesa", "simpy", "numpy", "torch", "pyarrow", "pandas")
"""Whose versions the manifest of a run states."""


def _manifest(world: World, wall_s: float, cpu_s: float, resumed: bool) -> dict[str, Any]:
    """Return the manifest of a run.

    It includes what the protocol declares, so that readers need none of its code.
    """
    scenario, game = world.kernel.scenario, type(world.protocol)
    return {
        **world.protocol.facts(),
        "run_id": scenario.run_id(),
        "name": scenario.name,
        "seed": scenario.seed,
        "protocol": game.name,
        "rounds": world.round_index,
        "simulated_s": world.kernel.clock.time_s,
        "notes": [note.to_plain() for note in game.notes],
        "charts": [chart.to_plain() for chart in game.charts],
        "outcomes": {name: outcome.to_plain() for name, outcome in game.outcomes.items()},
        "versions": {name: installed(name) for name in PACKAGES},
        "git": git_state(),
        "platform": platform.platform(),
        "python": platform.python_version(),
        "wall_s": wall_s,
        "cpu_s": cpu_s,
        "peak_memory_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
        "resumed": resumed,
    }


@cache
def installed(name: str) -> str | None:
    """Return the version of an installed package, None without it."""
    try:
        return version(name)
    except PackageNotFoundError:
        return None


@cache
def git_state() -> str | None:
    """Return the commit of the checkout that runs, with + when it has changes.

    None outside a checkout. Asked once per process.
    """
    here = Path(__file__).parent
    try:
        head = subprocess.run(
            ["git", "rev-parse", "HEAD"],
            cwd=here,
            capture_output=True,
            text=True,
            check=True,
            timeout=10,
        )
        dirty = subprocess.run(
            ["git", "status", "--porcelain", "-uno"],
            cwd=here,
            capture_output=True,
            text=True,
            check=True,
            timeout=10,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return head.stdout.strip() + ("+" if dirty.stdout.strip() else "")
