"""Playing one run: the world from its first round or a checkpoint to the recorded directory."""

from __future__ import annotations

import contextlib
import platform
import resource
import shutil
import subprocess
import time
import warnings
from collections.abc import Callable, Iterator
from functools import cache, partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from experiments import checkpoint
from experiments.checkpoint import Keeping
from experiments.extension import continued
from experiments.labels import plugin_label
from experiments.progress import progress as shown
from experiments.rundir import FAILED, failed_place, write_run
from experiments.view import RunView, Watching
from fedstake.errors import KEPT, FedstakeWarning
from fedstake.interrupts import ending_on_sigterm, like
from mechanisms.failures import described, until_plugin
from sim.scenario import Scenario
from sim.world import World

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


def play(
    scenario: Scenario,
    path: Path,
    saved: Path,
    data: str | Path | None,
    extend: str | Path | None,
    watching: Watching,
    keeping: Keeping,
) -> None:
    """Play a scenario and write its run directory.

    Args:
        scenario: what to play.
        path: the run directory.
        saved: folder of its checkpoints.
        data: folder of data files.
        extend: a finished run to go on from.
        watching: what is called and shown meanwhile.
        keeping: what is kept beside the tables.
    """
    watch, kept = Watch(), checkpoint.Checkpoints(scenario, saved)
    resumed = checkpoint.resume(scenario, saved, data)
    if resumed is None and extend is not None:
        resumed = continued(scenario, Path(extend), data)
    world = resumed or World(scenario, data)
    with ending_on_sigterm(), _interruptible(world, kept, keeping.force):
        if resumed:
            kept.note(world)
        view, failing = RunView(world), partial(_keep_failed, world, failed_place(path), watch)
        if watching.on_start:
            watching.on_start(view)
        with shown(scenario.name, scenario.rounds, asked=watching.progress) as tell:
            tell.begin(world.round_index)
            for index in _rounds(world, kept, keeping.every, failing):
                if watching.on_round:
                    watching.on_round(view)
                tell(index)
        manifest = _manifest(world, watch, resumed is not None)
        state = kept.export if keeping.state and kept.round else None
        write_run(path, scenario, world.kernel.tables(), manifest, state)
    _forget_failed(failed_place(path))


def _rounds(
    world: World,
    kept: checkpoint.Checkpoints,
    every: int,
    failing: Callable[[Exception], None],
) -> Iterator[int]:
    """Play the remaining rounds and yield the number of each.

    Checkpoints are kept all `every` rounds and all `CHECKPOINT_S`. `failing` is called with what
    the world raises, not with errors of whoever is given the numbers.
    """
    written = time.monotonic()
    for index in _played(world, failing):
        if not world.kernel.last_round:
            kept.note(world)
            asked = every > 0 and index % every == 0
            if asked or time.monotonic() - written >= CHECKPOINT_S:
                _keep(kept)
                written = time.monotonic()
        yield index


def _played(world: World, failing: Callable[[Exception], None]) -> Iterator[int]:
    """Play the remaining rounds; `failing` is called with what the world raises."""
    try:
        with checkpoint.blamed(world):
            yield from world.run()
    except Exception as error:
        failing(error)
        raise


def _keep_failed(world: World, place: Path, watch: Watch, error: Exception) -> None:
    """Keep what a run has recorded when a round fails; a note of the error says where."""
    if place.exists() and not (place / FAILED).is_file():
        return  # something else is there
    stage, trace = f"round {world.round_index}", until_plugin(error)
    reason = {"stage": stage, "error": described(error), "traceback": trace}
    try:
        facts = _manifest(world, watch, resumed=False) | {"failed": reason}
        tables = world.kernel.tables()
        write_run(place, world.kernel.scenario, tables, facts, record=FAILED)
    except (OSError, ValueError, TypeError) as problem:  # must not hide the error itself
        error.add_note(f"{KEPT}nothing ({described(problem)})")
    else:
        error.add_note(f"{KEPT}{place}")


def _forget_failed(place: Path) -> None:
    """Delete what is kept of an earlier attempt that failed."""
    if (place / FAILED).is_file():
        shutil.rmtree(place, ignore_errors=True)


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
        raise like(error, _interrupted(kept, force)) from error
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
