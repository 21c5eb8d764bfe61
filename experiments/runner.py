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
import warnings
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor
from dataclasses import asdict, dataclass
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from experiments import checkpoint
from experiments.extension import continued
from experiments.kinds import all_kinds
from experiments.labels import plugin_label
from experiments.limits import Limits, Tell, in_child
from experiments.loader import load_scenario
from experiments.pool import Task, in_processes, on_executor
from experiments.rundir import (
    MANIFEST,
    RunError,
    RunResult,
    check_place,
    check_writable,
    may_replace,
    open_run,
    recover,
    resolved,
    write_file,
    write_run,
)
from fedstake.errors import FedstakeWarning, Interrupted
from fedstake.interrupts import noticing_interrupts
from mechanisms.failures import described, until_plugin
from sim.data.folder import given_data
from sim.scenario import Scenario
from sim.threads import single_threaded
from sim.world import World

OnRound = Callable[[World], None]

NO_LIMITS = Limits()

CHECKPOINT_S = 60.0
"""Wall time after which a run that is not finished keeps a checkpoint by itself."""


class Watch:
    """Seconds since it was made: of the clock on the wall, and of this process."""

    def __init__(self) -> None:
        self._wall, self._cpu = time.perf_counter(), time.process_time()

    @property
    def wall_s(self) -> float:
        return time.perf_counter() - self._wall

    @property
    def cpu_s(self) -> float:
        return time.process_time() - self._cpu


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
def run(
    scenario: Scenario | str | Path,
    out: str | Path | None = None,
    *,
    data: str | Path | None = None,
    on_start: OnRound | None = None,
    on_round: OnRound | None = None,
    checkpoint_every: int = 0,
    keep_state: bool = False,
    extend: str | Path | None = None,
    force: bool = False,
) -> RunResult:
    """Run a scenario and record it. Raises what the run raises; nothing half-written is left.

    About every minute and on Ctrl-C a checkpoint is kept beside `out`, and deleted when the run is
    recorded. A run that was interrupted continues from its last checkpoint; of a damaged one it
    warns, and uses the one before. What is recorded does not depend on checkpoints.

    Args:
        scenario: what to run; a preset's name or a TOML file will do.
        out: the run directory, by default `results/<name>-<run id>`; of a link its target. A
            complete run of the same scenario there is reused.
        data: folder of data files (default: FEDSTAKE_DATA, else the user's cache).
        on_start: called with the world before the first round that is played.
        on_round: called with the world after every round.
        checkpoint_every: keep a checkpoint every so many rounds as well.
        keep_state: keep in the run directory what `extend` needs to go on without playing again.
        extend: a finished run of the same scenario with fewer rounds, to go on from. The result is
            that of all rounds played at once; with the same `out` it replaces that run.
        force: run again from the first round and replace what is there.

    Raises `Interrupted` on Ctrl-C: it says what was kept.
    """
    if not isinstance(scenario, Scenario):
        scenario = load_scenario(scenario)
    path = Path(out) if out is not None else _usual_place(scenario)
    in_place = extend is not None and resolved(Path(extend)) == resolved(path)
    saved = _prepared(path, force or in_place)
    existing = _existing(path, scenario, force, in_place)
    if existing is not None:
        checkpoint.remove(scenario, saved)  # of a run that was killed at its very end
        return existing
    if force:
        checkpoint.remove(scenario, saved)
    watch, kept = Watch(), checkpoint.Checkpoints(scenario, saved)
    resumed = checkpoint.resume(scenario, saved, data)
    if resumed is None and extend is not None:
        resumed = continued(scenario, Path(extend), data)
    world = resumed or World(scenario, data)
    with _interruptible(world, kept, force):
        if resumed:
            kept.note(world)
        if on_start:
            on_start(world)
        _play(world, kept, checkpoint_every, on_round)
        manifest = _manifest(world, watch, resumed is not None)
        state = kept.export if keep_state and kept.round else None
        result = write_run(path, scenario, world.kernel.tables(), manifest, state)
    checkpoint.remove(scenario, saved)
    return result


def _usual_place(scenario: Scenario) -> Path:
    return Path("results") / f"{scenario.name}-{scenario.run_id()[:12]}"


def _prepared(path: Path, force: bool) -> Path:
    """Check a run directory and clean up in its place; return the folder of its checkpoints."""
    if force or not os.path.isfile(path / MANIFEST):
        check_place(path)
    real = resolved(path)
    recover(real)
    return checkpoint.folder_of(real)


def _play(world: World, kept: checkpoint.Checkpoints, every: int, on_round: OnRound | None) -> None:
    """Play the remaining rounds and keep checkpoints, all `every` rounds and all `CHECKPOINT_S`."""
    written = time.monotonic()
    for index in world.run():
        if not world.kernel.last_round:
            kept.note(world)
            asked = every > 0 and index % every == 0
            if asked or time.monotonic() - written >= CHECKPOINT_S:
                _keep(kept)
                written = time.monotonic()
        if on_round:
            on_round(world)


def _keep(kept: checkpoint.Checkpoints) -> None:
    """Write a checkpoint; a disk that is full costs the checkpoint, not the run."""
    try:
        kept.write()
    except OSError as error:
        message = f"{error.filename}: {error.strerror}; no checkpoint is kept, the run goes on"
        warnings.warn(message, FedstakeWarning, stacklevel=2)


@contextlib.contextmanager
def _interruptible(world: World, kept: checkpoint.Checkpoints, force: bool) -> Iterator[None]:
    """Close a world in the end; on Ctrl-C keep what is finished and raise `Interrupted`."""
    try:
        yield
    except KeyboardInterrupt as error:
        raise Interrupted(_interrupted(kept, force)) from error
    finally:
        world.close()


def _interrupted(kept: checkpoint.Checkpoints, force: bool) -> str:
    """Keep the last round that was finished, and return what there is to say of it."""
    if not kept.round:
        return "interrupted before the end of round 1; the same command begins again"
    try:
        kept.write()
    except OSError as error:
        reason = f"{error.filename}: {error.strerror}"
        return f"interrupted after round {kept.round}, which could not be kept ({reason})"
    command = "the same command without --force" if force else "the same command"
    return f"interrupted after round {kept.round}; {command} goes on from round {kept.round + 1}"


def _existing(path: Path, scenario: Scenario, force: bool, in_place: bool) -> RunResult | None:
    """Return the run itself when it is there already; raise `RunError` for anything else there.

    With `force` whatever run is there is replaced, with `in_place` any other than this one.
    """
    if not path.is_dir() or not any(path.iterdir()):
        return None
    if not force:
        existing = open_run(path)
        existing.verify()
        if existing.run_id == scenario.run_id():
            return existing
        if not in_place:
            raise RunError(f"{path}: {_other(path, scenario, existing)}")
    if not may_replace(path):
        option = "--force" if force else "--extend"
        raise RunError(
            f"{path}: holds more than a run, {option} does not replace that; choose another --out"
        )
    return None


def _other(path: Path, scenario: Scenario, existing: RunResult) -> str:
    """Return what is to be said of another run in the place of this one."""
    rounds = existing.manifest.get("rounds")
    fewer = isinstance(rounds, int) and 0 < rounds < scenario.rounds
    if fewer and scenario.replace(rounds=rounds).run_id() == existing.run_id:
        return f"holds this run with {rounds} rounds; --extend {path} goes on from there"
    return f"holds another run ({existing.run_id[:12]}); choose another --out or use --force"


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
    folder = Path(out).absolute()  # workers may be elsewhere
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

    def note(world: World) -> None:
        nonlocal stage
        last = world.round_index == scenario.rounds
        stage = "write" if last else f"round {world.round_index + 1}"
        on_stage(stage)

    with noticing_interrupts() as interrupted:
        try:
            result = run(
                scenario, folder / scenario.run_id(), data=data, on_start=note, on_round=note
            )
            # Read here: it travels with the result, and the caller need not find the file.
            _ = result.manifest
        except BaseException as error:
            if interrupted():
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
        write_file(file, json.dumps(asdict(failure), indent=2) + "\n")
    return failure


PACKAGES = ("fedstake", "mesa", "simpy", "numpy", "torch", "pyarrow", "pandas")
"""Whose versions the manifest of a run states."""


def _manifest(world: World, watch: Watch, resumed: bool) -> dict[str, Any]:
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
        "plugins": _plugins_by_path(scenario),
        "versions": {name: installed(name) for name in PACKAGES},
        "git": git_state(),
        "platform": platform.platform(),
        "python": platform.python_version(),
        "wall_s": watch.wall_s,
        "cpu_s": watch.cpu_s,
        "peak_memory_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
        "resumed": resumed,
    }


def _plugins_by_path(scenario: Scenario) -> dict[str, str]:
    """Return by key what each plug-in that a scenario names by path calls itself."""
    by_path = [choice for choice in scenario.choices() if ":" in choice.name]
    return {c.key: plugin_label(c.name, c.registry.get(c.name).name) for c in by_path}


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
