"""Run a scenario, unless its run is there already.

What plays (Mesa, torch) is imported only when there is something to play.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from experiments import checkpoint
from experiments.checkpoint import Keeping
from experiments.loader import load_scenario, table_of
from experiments.progress import Progress
from experiments.rundir import MANIFEST, RunError, check_place, may_replace, recover, resolved
from experiments.runresult import RunResult, open_run
from experiments.view import Watcher, Watching
from fedstake.folders import chosen_folder, recorded_folder
from sim.data.folder import given_data
from sim.scenario import Scenario


@given_data
def run(
    scenario: Scenario | str | Path,
    out: str | Path | None = None,
    *,
    set: Mapping[str, Any] | None = None,
    data: str | Path | None = None,
    on_start: Watcher | None = None,
    on_round: Watcher | None = None,
    progress: Progress = None,
    checkpoint_every: int = 0,
    keep_state: bool = False,
    extend: RunResult | str | Path | None = None,
    force: bool = False,
) -> RunResult:
    """Run a scenario and record it. Raises what the run raises; nothing half-written is left.

    What a run that fails in a round has recorded is kept beside `out`, in a folder `<out>.failed`.
    About every minute, on Ctrl-C and on SIGTERM a checkpoint is kept beside `out`, and deleted when
    the run is recorded. A run that was interrupted continues from its last checkpoint; of a damaged
    one it warns, and uses the one before. What is recorded does not depend on checkpoints.

    Args:
        scenario: what to run; a preset's name or a TOML file will do.
        out: the run directory, by default `results/<name>-<run id>`; of a link its target. A
            complete run of the same scenario there is reused.
        set: dotted scenario keys and their values, as `{"training.epochs": 2}`.
        data: folder of data files (default: FEDSTAKE_DATA, else the user's cache).
        on_start: called with a `RunView` before the first round that is played.
        on_round: called with a `RunView` after every round.
        progress: True shows how far it is, as a bar in a terminal, as one line in a notebook, as
            plain lines on stderr elsewhere; None: only where a terminal or a notebook watches; a
            function is called with the numbers of rounds played and in all after every round.
        checkpoint_every: keep a checkpoint every so many rounds as well.
        keep_state: keep in the run directory what `extend` needs to go on without playing again.
        extend: a finished run of the same scenario with fewer rounds, to go on from. The result is
            that of all rounds played at once; with the same `out` it replaces that run.
        force: run again from the first round and replace what is there.

    Raises `Interrupted` on Ctrl-C: it says what was kept.
    """
    place = chosen_folder(out, changes=True)
    former = None if extend is None else recorded_folder(extend, "extend")
    if not isinstance(scenario, Scenario):
        scenario = load_scenario(scenario, set)
    elif changes := table_of(set):
        scenario = scenario.replace(**changes)
    path = place or _usual_place(scenario)
    in_place = former is not None and resolved(former) == resolved(path)
    saved = _prepared(path, force or in_place)
    existing = _existing(path, scenario, force, in_place)
    if existing is not None or force:
        checkpoint.remove(scenario, saved)  # of a run that was killed at its very end
    if existing is None:
        from experiments.playing import play

        watching = Watching(on_start, on_round, progress)
        keeping = Keeping(checkpoint_every, keep_state, force)
        play(scenario, path, saved, data, former, watching, keeping)
        checkpoint.remove(scenario, saved)
    return existing or RunResult(path)


def _usual_place(scenario: Scenario) -> Path:
    return Path("results") / f"{scenario.name}-{scenario.run_id()[:12]}"


def _prepared(path: Path, force: bool) -> Path:
    """Check a run directory and clean up in its place; return the folder of its checkpoints."""
    if force or not os.path.isfile(path / MANIFEST):
        check_place(path)
    real = resolved(path)
    recover(real)
    return checkpoint.folder_of(real)


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
