"""Running many scenarios in processes; a run that fails is recorded, and the others go on."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterable
from concurrent.futures import Executor
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path

from experiments.kinds import all_kinds
from experiments.limits import Limits, Tell, in_child
from experiments.loader import load_scenario
from experiments.pool import Task, in_processes, on_executor
from experiments.rundir import check_writable, recover, write_file
from experiments.runner import run
from experiments.runresult import RunResult
from experiments.view import RunView
from fedstake.errors import Terminated
from fedstake.folders import chosen_folder
from fedstake.interrupts import noticing_interrupts
from fedstake.outside import seal
from mechanisms.failures import described, until_plugin
from sim.data.folder import given_data
from sim.scenario import Scenario
from sim.threads import single_threaded
from sim.world import World

NO_LIMITS = Limits()


@dataclass(frozen=True)
class RunFailure:
    """A run that did not finish: failure is data.

    `stage` is build, round N, write, or process where a process died and nobody knows where.
    """

    run_id: str
    name: str
    seed: int
    stage: str
    error: str
    traceback: str


@given_data
def run_many(
    scenarios: Iterable[Scenario],
    out: str | Path,
    *,
    workers: int | None = None,
    data: str | Path | None = None,
    executor: Executor | None = None,
    in_flight: int | None = None,
    alive: Callable[[], bool] | None = None,
    limits: Limits = NO_LIMITS,
    on_done: Callable[[RunResult | RunFailure], None] | None = None,
) -> list[RunResult | RunFailure]:
    """Run scenarios in processes, each into `out/<run id>`; finished ones are not run again.

    Results in the given order.

    `workers` = 1 runs them in this process, unless there are limits or plug-ins in files, which
    may take their process down. `executor` runs them elsewhere, at most `in_flight` handed over at
    a time (default: all), as long as it is `alive`. A failure is written to
    `out/failures/<run id>.json` and the others go on; going over one of the `limits` is a failure.
    Raises `StoppedError` when what runs them breaks.
    """
    wanted = list(scenarios)
    folder = (chosen_folder(out) or Path()).absolute()  # workers may be elsewhere
    check_writable(folder)
    folder.mkdir(parents=True, exist_ok=True)
    if data is not None:
        data = Path(data).absolute()
    tasks = [(scenario, folder, data, limits) for scenario in wanted]
    trusted = not limits and not any(_names_files(scenario) for scenario in wanted)
    done: dict[str, RunResult | RunFailure] = {}

    def keep(outcome: RunResult | RunFailure) -> None:
        done[outcome.run_id] = outcome
        if on_done:
            on_done(outcome)

    def failed(task: Task, error: Exception) -> None:
        keep(_failed(task[0], task[1], "process", error))

    if executor is not None:
        on_executor(executor, execute, tasks, in_flight or max(1, len(tasks)), keep, failed, alive)
    elif workers == 1 and trusted:
        for task in tasks:
            keep(execute(*task))
    else:
        in_processes(execute, tasks, workers or os.cpu_count() or 1, keep, failed)
    return [done[s.run_id()] for s in wanted]


def _names_files(scenario: Scenario) -> bool:
    """Return whether a scenario has plug-ins in files: code that nobody has tried here."""
    return any(":" in choice.name for choice in scenario.choices())


@given_data
def execute(
    scenario: Scenario, folder: Path, data: Path | None, limits: Limits = NO_LIMITS
) -> RunResult | RunFailure:
    """Execute one run of many; nothing that a plug-in raises escapes.

    With limits it is played in a process of its own.
    """
    single_threaded()
    if not limits:
        return _execute_here(scenario, folder, data, lambda stage: None)

    def work(tell: Tell) -> None:
        outcome = _execute_here(scenario, folder, data, lambda stage: tell({"stage": stage}))
        if isinstance(outcome, RunFailure):
            tell({"failure": asdict(outcome)})

    _warm_up()
    report = in_child(work, limits)
    heard = {key: value for message in report.messages for key, value in message.items()}
    path = folder / scenario.run_id()
    if report.error is not None:
        recover(path)
        return _failed(scenario, folder, heard.get("stage", "build"), report.error)
    if "failure" in heard:
        return RunFailure(**heard["failure"])
    result = RunResult(path)
    _ = result.manifest
    return result


@cache
def _warm_up() -> None:
    """Import what runs use, once: forks find it, and its time is not theirs."""
    for kind in all_kinds():
        kind.names()
    world = World(load_scenario("digits-quick", {"rounds": 1}))
    world.step()
    world.close()


def _execute_here(
    scenario: Scenario, folder: Path, data: Path | None, on_stage: Callable[[str], None]
) -> RunResult | RunFailure:
    """Execute one run in this process; `on_stage` is told build, round N and write."""
    stage = "build"

    def note(view: RunView) -> None:
        nonlocal stage
        last = view.round_index == scenario.rounds
        stage = "write" if last else f"round {view.round_index + 1}"
        on_stage(stage)

    with noticing_interrupts() as interrupted:
        try:
            result = run(
                scenario,
                folder / scenario.run_id(),
                data=data,
                on_start=note,
                on_round=note,
                progress=False,
            )
            # Read here: it travels with the result, and the caller need not find the file.
            _ = result.manifest
        except BaseException as error:
            if interrupted() or isinstance(error, Terminated):
                raise
            return _failed(scenario, folder, stage, error)
    _failure_file(folder, result.run_id).unlink(missing_ok=True)
    return result


def _failure_file(folder: Path, run_id: str) -> Path:
    return folder / "failures" / f"{run_id}.json"


def _failed(scenario: Scenario, folder: Path, stage: str, error: BaseException) -> RunFailure:
    failure = RunFailure(
        scenario.run_id(),
        scenario.name,
        scenario.seed,
        stage,
        described(error),
        until_plugin(error),
    )
    file = _failure_file(folder, failure.run_id)
    # A full disk must not lose the outcomes of the others; the caller has the failure.
    with contextlib.suppress(OSError):
        file.parent.mkdir(parents=True, exist_ok=True)
        write_file(file, seal(asdict(failure)))
    return failure
