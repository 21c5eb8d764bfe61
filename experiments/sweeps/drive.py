"""Run the missing runs of a sweep, on this machine or on a cluster: `fedstake sweep`."""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
import shutil
import sys
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Executor
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq

from experiments.cost import announcement, expected_of_sweep
from experiments.folders import exclusive
from experiments.many import RunFailure, run_many
from experiments.playing import git_state, installed
from experiments.pool import StoppedError
from experiments.progress import Progress, counted
from experiments.rundir import RunError, check_writable, write_file
from experiments.runresult import RunResult
from experiments.scorecard.before import check_before
from experiments.sweeps import manifest, reuse
from experiments.sweeps.cluster import LEAST_WINDOW, Place, cluster
from experiments.sweeps.forecast import Forecast
from experiments.sweeps.manifest import COMPACT, PLAN, RUNS, SWEEP, read_sweep
from experiments.sweeps.plan import (
    PlannedRun,
    Spec,
    digest,
    load_spec,
    outcomes_of,
    plan,
    plugin_names,
)
from experiments.sweeps.request import Levels, limited, requested
from fedstake.errors import FedstakeWarning
from fedstake.folders import chosen_folder, recorded_folder
from fedstake.interrupts import like
from fedstake.outside import seal
from sim.data.folder import given_data
from sim.scenario import SCHEMA_VERSION, Scenario
from sim.world import World

if TYPE_CHECKING:
    from experiments.results import Results

OnReceipt = Callable[[manifest.Receipt], None]

TOLD = 10
"""Damaged runs that are told one by one."""
LOCK = "sweep"
"""Lock of the process that plays a folder."""


@dataclass(frozen=True)
class Outcome:
    """The result of a call of `Sweep.play`."""

    folder: Path
    planned: int
    """Runs of the plan."""
    found: int
    """Runs that were done before."""
    done: int
    failed: int
    wall_s: float


@dataclass(frozen=True)
class Estimate:
    """The expected cost of a sweep, extrapolated from a few pilot runs."""

    runs: int
    todo: int
    cpu_s: float
    wall_s: float
    bytes: int
    """Size on disk."""
    pilots: int
    """Runs that were played for it, in part."""


class Sweep:
    """A plan and its folder. `todo` are the missing runs; failed runs are among them.

    Runs are known by their content: a folder whose sweep grew, with more seeds, levels or factors,
    keeps the runs that it has. Runs that are no longer part of the sweep stay on disk, and its
    results leave them out.

    Raises `ScenarioError` for a wrong plan, and `RunError` for a scorecard that does not fit it or
    a folder with other contents.
    """

    def __init__(
        self,
        source: str | Path | Mapping[str, Any] | Spec,
        out: str | Path | None = None,
        *,
        reuse: Iterable[Results | str | Path] = (),
    ) -> None:
        """`reuse`: folders whose finished runs are taken over; they are verified and linked."""
        self.spec = source if isinstance(source, Spec) else load_spec(source)
        self.folder = chosen_folder(out, changes=True) or Path("results") / self.spec.name
        check_writable(self.folder)
        self.runs = plan(self.spec)
        if self.spec.scorecard:
            check_before(self.spec, self.runs)
        self.digest = digest(self.runs)
        self.reuse = [recorded_folder(folder, "reuse") for folder in reuse]
        self._held = False
        self._check_folder()
        self._look()

    def _outcomes(self) -> dict[str, dict[str, Any]]:
        """Return the outcomes that the protocols declare: readers of the sweep need no protocol."""
        scenarios = {run.scenario.protocol: run.scenario for run in self.runs}
        declared: dict[str, dict[str, Any]] = {}
        for scenario in scenarios.values():
            for name, outcome in outcomes_of(scenario).items():
                declared[name] = outcome.to_plain()
        return declared

    def _check_folder(self) -> None:
        """Raise `RunError` unless the folder is absent, empty or shares runs with this plan."""
        self.dropped = 0
        """Finished runs of the folder that are no longer part of the sweep."""
        # What else the folder holds comes first: another process that begins a sweep here between
        # the two looks writes its header before anything else.
        others = self._others()
        if not (self.folder / SWEEP).is_file():
            self._check_others(others)
            return
        with self._remedy("--out ANOTHER --reuse {} takes over its finished runs"):
            recorded = read_sweep(self.folder)
        if recorded["schema_version"] != SCHEMA_VERSION:
            raise RunError(
                f"{self.folder}: recorded with schema {recorded['schema_version']}, "
                f"this version writes {SCHEMA_VERSION}; choose another --out"
            )
        if recorded["plan_digest"] == self.digest:
            return
        with self._remedy("the same `fedstake sweep` as before writes it again"):
            before = manifest.planned_runs(self.folder, recorded)
        finished = before & manifest.with_receipt(self.folder, "done")
        now = {p.run_id for p in self.runs}
        self.dropped = len(finished - now)
        if finished and not before & now:
            raise RunError(
                f"{self.folder}: holds another sweep "
                f"({recorded['spec']['name']}: {recorded['runs']} runs), "
                "none of its runs is part of this one; choose another --out"
            )

    @contextlib.contextmanager
    def _remedy(self, words: str) -> Iterator[None]:
        """Add to a `RunError` what helps; `{}` stands for the folder."""
        try:
            yield
        except RunError as error:
            raise RunError(f"{error}; {words.format(self.folder)}") from None

    def _others(self) -> list[Path]:
        """Return what a folder holds beside what a process leaves that was killed as it began."""
        if not self.folder.is_dir():
            return []
        own = (f".{SWEEP}.", f"{LOCK}.lock", f"{COMPACT}.lock")
        return [e for e in self.folder.iterdir() if not e.name.startswith(own)]

    def _check_others(self, others: list[Path]) -> None:
        """Raise `RunError` when a folder that is no sweep holds anything but copied runs."""
        if others and not manifest.holds_only_runs(self.folder, others):
            raise RunError(
                f"{self.folder}: is not empty and holds no sweep; choose another --out "
                "(--reuse takes over finished runs of another folder)"
            )

    def _look(self) -> None:
        """See what is there: receipts, damaged runs, runs to take over and runs to do.

        To do are the runs that are not done or whose data are missing or damaged. All cells with
        the first seed come first, then with the second, ...: what is done early is balanced over
        cells, and so is its forecast.
        """
        ids = [p.run_id for p in self.runs]
        self.receipts = manifest.receipts(self.folder)
        self.damaged = manifest.damaged(self.folder, ids)
        """What is wrong with runs whose files are not those that were recorded."""
        directories = manifest.with_directory(self.folder) - set(self.damaged)
        whole = directories | (self._sound_compact().runs - set(self.damaged))
        receipts = {r.run_id for r in self.receipts.values() if r.status == "done"}
        done = receipts & whole
        missing = {run_id for run_id in ids if run_id not in done}

        self._found = {i: self.folder / RUNS / i for i in sorted(missing & directories)}
        for folder in self.reuse:
            self._found = reuse.find(folder, missing) | self._found
        order = {seed: i for i, seed in enumerate(self.spec.seed_list)}
        chosen = [p for p in self.runs if p.run_id in missing]
        self._missing = sorted(chosen, key=lambda p: order[p.seed])
        self.todo = [p for p in self._missing if p.run_id not in self._found]

    def _sound_compact(self) -> manifest.Compact:
        """Return the index of compacted tables, an empty one when it cannot be used."""
        try:
            return manifest.compacted(self.folder)
        except RunError:
            return manifest.Compact()

    @contextlib.contextmanager
    def ready(self) -> Iterator[None]:
        """Hold the folder, record the plan and take over the runs that are there.

        Another process that plays this folder is waited for. Within the block `todo` is what `play`
        plays; without one `play` does this itself. A `FedstakeWarning` says what is worth knowing.
        """
        if self._held:
            yield
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        with exclusive(self.folder, LOCK, "plays this sweep"):
            self._check_folder()  # another process may have changed it
            self._write_plan()
            with exclusive(self.folder, COMPACT, "compacts its tables"):
                self._mend()
                self._look()
            self._tell_lost_receipts()
            self._take_over()
            self._tell_damage()
            for line in self.spec.merged:
                _warn(line)
            if self.dropped:
                _warn(
                    f"{self.folder}: {_are(self.dropped, 'finished run')} no longer part of the "
                    "sweep; the files stay, the results leave them out"
                )
            self._held = True
            try:
                yield
            finally:
                self._held = False

    def _mend(self) -> None:
        """Remove an index of compacted tables that are damaged or not there."""
        try:
            index = manifest.compacted(self.folder)
        except RunError as error:
            _warn(str(error))
            manifest.forget_compact(self.folder)
            return
        try:
            index.check(self.folder)
        except RunError as error:
            _warn(f"{error}; its runs are read from their directories or played again")
            manifest.forget_compact(self.folder)

    def _take_over(self) -> None:
        """Give a receipt to runs that are there without one; what is damaged is to do."""
        taken = set()
        home = (self.folder / RUNS).resolve()
        for run_id, path in self._found.items():
            own = path.parent.resolve() == home
            try:
                result = reuse.verified(run_id, path)
                if not own:
                    result = reuse.take(result, self.folder / RUNS)
            except RunError as error:
                if own:
                    self.damaged[run_id] = str(error)
                else:
                    _warn(f"{error}; it is played again")
                continue
            self.damaged.pop(run_id, None)
            self.receipts[run_id] = _receipt(result)
            manifest.append(self.folder, self.receipts[run_id])
            taken.add(run_id)
        self.todo = [p for p in self._missing if p.run_id not in taken]
        self._tell_left_behind()

    def _tell_lost_receipts(self) -> None:
        """Say that receipts of runs that are there are damaged."""
        there = manifest.with_data(self.folder)
        lost = manifest.lost_receipts(self.folder)
        if lost and any(p.run_id in there for p in self._missing):
            _warn(
                f"{self.folder / manifest.MANIFEST}: {_are(lost, 'line')} damaged; runs whose "
                "directory is whole are taken over, others are played again"
            )

    def _tell_damage(self) -> None:
        """Say which runs are damaged, of which cell, and that they are played again."""
        planned = {p.run_id: p for p in self.todo}
        for run_id in list(self.damaged)[:TOLD]:
            p = planned[run_id]
            levels = "".join(f"{name} = {_text(level)}, " for name, level in p.labels.items())
            _warn(
                f"run {run_id[:12]} ({levels}seed {p.seed}): {self.damaged[run_id]}; "
                "it is played again"
            )
        more = len(self.damaged) - TOLD
        if more > 0:
            _warn(f"{_are(more, 'more run')} damaged and played again: column note of their runs")

    def _tell_left_behind(self) -> None:
        """Say which runs of the folders to reuse have no directory any more."""
        for folder in self.reuse:
            lost = reuse.left_behind(folder, (p.run_id for p in self.todo))
            if lost:
                _warn(
                    f"--reuse {folder}: {_are(lost, 'run')} there in compacted tables only, "
                    "which cannot be reused"
                )

    def play(
        self,
        *,
        workers: int | None = None,
        dask: str | None = None,
        executor: Executor | None = None,
        data: str | Path | None = None,
        on_receipt: OnReceipt | None = None,
    ) -> Outcome:
        """Run the missing runs. A run that fails is recorded and the others go on.

        Interrupted at any moment, the next call goes on from there.

        Args:
            workers: processes on this machine (default: all cores; 1: in this process).
            dask: address of a Dask scheduler to run on instead.
            executor: any other executor to run on instead; its workers see the folder.
            data: folder of data files.
            on_receipt: called with a `Receipt` as each run ends.

        Raises `StoppedError` when the executor or the cluster breaks.
        """
        with self.ready():
            return self._play(workers, dask, executor, data, on_receipt)

    def _play(
        self,
        workers: int | None,
        dask: str | None,
        executor: Executor | None,
        data: str | Path | None,
        on_receipt: OnReceipt | None,
    ) -> Outcome:
        """Run the missing runs of a folder that is held."""
        began = time.perf_counter()
        for run_id in self.damaged:  # by a power cut or a full disk
            shutil.rmtree(self.folder / RUNS / run_id, ignore_errors=True)
        counts: Counter[str] = Counter()

        def keep(outcome: RunResult | RunFailure) -> None:
            receipt = _receipt(outcome)
            wrong = self.damaged.get(receipt.run_id)
            if wrong:
                receipt = replace(receipt, note=f"played again: {wrong}")
            manifest.append(self.folder, receipt)
            counts[receipt.status] += 1
            if on_receipt:
                on_receipt(receipt)

        with (
            self._say_how_far(counts, dask),
            self._place(dask, executor) as (chosen, window, alive),
        ):
            run_many(
                [p.scenario for p in self.todo],
                self.folder / RUNS,
                workers=workers,
                data=data,
                executor=chosen,
                in_flight=window,
                alive=alive,
                limits=self.spec.limits,
                on_done=keep,
            )
        return Outcome(
            folder=self.folder,
            planned=len(self.runs),
            found=len(self.runs) - len(self.todo),
            done=counts["done"],
            failed=counts["failed"],
            wall_s=time.perf_counter() - began,
        )

    @contextlib.contextmanager
    def _say_how_far(self, counts: Counter[str], dask: str | None) -> Iterator[None]:
        """Add to a `StoppedError` and to Ctrl-C how many runs have ended, and where."""
        try:
            yield
        except KeyboardInterrupt as error:
            raise like(
                error,
                f"interrupted; {counts.total()} of {len(self.todo)} runs ended and are kept, "
                "the same command goes on with the others",
            ) from None
        except StoppedError as error:
            where = f"--dask {dask}: " if dask and dask not in str(error) else ""
            raise StoppedError(
                f"{where}{error}; {counts.total()} of {len(self.todo)} runs ended, "
                "the same command goes on from there"
            ) from None

    def _place(self, dask: str | None, executor: Executor | None) -> AbstractContextManager[Place]:
        """Return where the runs are played: a Dask cluster, the given executor or this machine."""
        if dask:
            return cluster(dask, self.folder.absolute())
        return contextlib.nullcontext((executor, LEAST_WINDOW, None))

    def forecast(self) -> Forecast:
        """Return a forecast of the time that `todo` takes; it must be given every receipt."""
        cells = {p.run_id: p.cell for p in self.runs}
        known = [
            (cells[r.run_id], r.wall_s)
            for r in self.receipts.values()
            if r.status == "done" and r.run_id in cells
        ]
        return Forecast({p.run_id: p.cell for p in self.todo}, known)

    def announcement(self, words: Callable[[float], str], data: str | Path | None = None) -> str:
        """Return a line about a cost above the limits of `experiments.cost`, "" below them."""
        longest, total = expected_of_sweep([p.scenario for p in self.todo], data)
        return announcement(longest, total, words)

    def estimate(
        self, *, workers: int | None = None, data: str | Path | None = None, pilots: int = 4
    ) -> Estimate:
        """Extrapolate the cost from two rounds of a few runs spread over the plan.

        Nothing is written.
        """
        n = len(self.todo)
        chosen = self.todo
        if n >= pilots:
            chosen = [self.todo[i * n // pilots] for i in range(pilots)]
        costs = [pilot(p.scenario, data) for p in chosen]
        cpu_s = n * sum(cpu for cpu, _ in costs) / max(1, len(costs))
        size = n * sum(size for _, size in costs) / max(1, len(costs))
        processes = min(workers or os.cpu_count() or 1, max(1, n))
        return Estimate(
            runs=len(self.runs),
            todo=n,
            cpu_s=cpu_s,
            wall_s=cpu_s / processes,
            bytes=int(size),
            pilots=len(chosen),
        )

    def _write_plan(self) -> None:
        """Write `sweep.json` and the plan, unless they are there.

        A plan that changed gets a file of its own before `sweep.json`, which names it, is replaced
        in one step. How a sweep is read, and its limits, are no part of the plan: they may change.
        """
        # Name and given keys only, so that the file can be given to `sweep` again.
        spec = {"name": self.spec.name} | self.spec.model_dump(mode="json", exclude_unset=True)
        recorded: dict[str, Any] = {}
        file = self.folder / PLAN
        if (self.folder / SWEEP).is_file():
            recorded = read_sweep(self.folder)
            file = self.folder / f"plan-{self.digest}.parquet"
            if recorded["plan_digest"] == self.digest:
                file = manifest.plan_file(self.folder, recorded)
                if self._plan_is_whole(recorded):
                    if recorded["spec"] != spec:
                        self._write_header(recorded | {"spec": spec})
                    return

        # Remove what a process leaves that was killed as it began.
        self.folder.mkdir(parents=True, exist_ok=True)
        for name in (SWEEP, file.name):
            for part in self.folder.glob(f".{name}.*"):
                part.unlink()

        buffer = io.BytesIO()
        pq.write_table(plan_table(self.runs, self.spec.factors), buffer, compression="zstd")
        table = buffer.getvalue()
        listed = {"bytes": len(table), "sha256": hashlib.sha256(table).hexdigest()}
        header = {
            "schema_version": SCHEMA_VERSION,
            "spec": spec,
            "plan": {"file": file.name, **listed},
            "plan_digest": self.digest,
            "factors": self.spec.factors,
            "outcomes": self._outcomes(),
            "plugins": plugin_names(self.runs),
            "runs": len(self.runs),
            "versions": {
                name: installed(name) for name in ("fedstake", "numpy", "torch", "pyarrow")
            },
            "git": git_state(),
            "command": sys.argv,
        }
        # In a new folder the header comes first: killed in between, the next call knows its own
        # folder and goes on.
        if not recorded:
            self._write_header(header)
        write_file(file, table)
        if recorded:
            self._write_header(header)

    def _plan_is_whole(self, recorded: Mapping[str, Any]) -> bool:
        """Return whether the recorded plan is there; a damaged one is told: it is written again."""
        if not manifest.plan_file(self.folder, recorded).is_file():
            return False
        try:
            manifest.read_plan(self.folder, recorded)
        except RunError as error:
            _warn(f"{error}; it is written again")
            return False
        return True

    def _write_header(self, header: Mapping[str, Any]) -> None:
        write_file(self.folder / SWEEP, seal(header))


@given_data
def sweep(
    source: str | Path | Mapping[str, Any],
    out: str | Path | None = None,
    *,
    vary: Levels | None = None,
    seeds: int | Sequence[int] | None = None,
    set: Mapping[str, Any] | None = None,
    reuse: Results | str | Path | Iterable[Results | str | Path] = (),
    timeout: float | None = None,
    memory: float | None = None,
    workers: int | None = None,
    dask: str | None = None,
    executor: Executor | None = None,
    data: str | Path | None = None,
    on_receipt: OnReceipt | None = None,
    progress: Progress = None,
) -> Results:
    """Run the missing runs of a sweep and open its results.

    Args:
        source: a TOML file, or the same as a table of plain values; with `vary` or `seeds` also a
            scenario, as a preset's name or a file.
        out: the sweep's folder, by default `results/<name>`. A sweep that is there may grow.
        vary: more factors by scenario key, each with a list of values or a table of named levels;
            every combination is played.
        seeds: how many, or a list; instead of the file's.
        set: dotted scenario keys and their values in all runs, beside the file's.
        reuse: sweeps whose finished runs are taken over, one or several: folders, or `Results`.
        timeout: seconds after which a run is ended and recorded as failed.
        memory: gigabytes above which the process of a run is ended.
        workers: processes on this machine (default: all cores; 1: in this process where there are
            neither limits nor plug-ins in files).
        dask: address of a Dask scheduler to run on instead.
        executor: any other executor to run on instead; its workers see the folder.
        data: folder of data files.
        on_receipt: called with a `Receipt` as each run ends.
        progress: True shows how many runs have ended and the time left, as `run` does; None: only
            where a terminal or a notebook watches; a function is called with the numbers of runs
            ended and to do.
    """
    from experiments.results import Results

    spec = requested(source, vary=vary, seeds=seeds, set=set)
    spec = limited(spec, timeout, memory)
    folders = reuse if isinstance(reuse, Iterable) and not isinstance(reuse, str) else [reuse]
    planned = Sweep(spec, out, reuse=folders)
    with (
        planned.ready(),
        counted(spec.name, len(planned.todo), planned.forecast(), progress) as count,
    ):

        def ended(receipt: manifest.Receipt) -> None:
            count(receipt)
            if on_receipt:
                on_receipt(receipt)

        planned.play(workers=workers, dask=dask, executor=executor, data=data, on_receipt=ended)
    return Results.open(planned.folder)


def _warn(note: str) -> None:
    warnings.warn(note, FedstakeWarning, stacklevel=3)


def _are(n: int, noun: str) -> str:
    """Return "1 run is" or "2 runs are"."""
    return f"{n:,} {noun} is" if n == 1 else f"{n:,} {noun}s are"


def plan_table(runs: list[PlannedRun], factors: list[str]) -> pa.Table:
    """Return one row per run: id, cell, seed, the label of each factor, and the scenario as JSON.

    The scenario is that of the cell, with seed 0. The labels of a factor are kept as text unless
    all of them are numbers or all of them are truth values.
    """
    cells: dict[int, str] = {}
    for p in runs:
        if p.cell not in cells:
            scenario = p.scenario.model_copy(update={"seed": 0})
            cells[p.cell] = json.dumps(scenario.to_dict(), sort_keys=True)
    columns: dict[str, Any] = {
        "run_id": [p.run_id for p in runs],
        "cell": [p.cell for p in runs],
        "seed": [p.seed for p in runs],
        "scenario": pa.array([cells[p.cell] for p in runs]).dictionary_encode(),
    }
    for name in factors:
        labels = [p.labels[name] for p in runs]
        kinds = {_kind(label) for label in labels}
        if kinds not in ({bool}, {float}):
            labels = [_text(label) for label in labels]
        columns[name] = labels
    return pa.table(columns)


def _kind(label: Any) -> type:
    """Return how a label is kept: as truth value, number or text."""
    if isinstance(label, bool):
        return bool
    return float if isinstance(label, int | float) else str


def _text(label: Any) -> str:
    return label if isinstance(label, str) else json.dumps(label)


def _receipt(outcome: RunResult | RunFailure) -> manifest.Receipt:
    if isinstance(outcome, RunFailure):
        return manifest.Receipt(outcome.run_id, "failed", stage=outcome.stage, error=outcome.error)
    recorded = outcome.manifest
    size = sum(file["bytes"] for file in recorded["files"].values())
    return manifest.Receipt(recorded["run_id"], "done", recorded["wall_s"], recorded["cpu_s"], size)


def pilot(scenario: Scenario, data: str | Path | None = None) -> tuple[float, int]:
    """Return (CPU seconds, bytes) that a whole run would take.

    Set-up and first round are measured; every later round counts as the second one.
    """
    began = time.process_time()
    world = World(scenario, data)
    cpu = time.process_time() - began
    size = [0]
    try:
        for _ in range(min(2, scenario.rounds)):
            began = time.process_time()
            world.step()
            round_s = time.process_time() - began
            cpu += round_s
            began = time.process_time()
            size.append(_bytes(world.kernel.tables()))
            write_s = time.process_time() - began
    finally:
        world.close()
    more = scenario.rounds - len(size) + 1
    return cpu + more * round_s + write_s, size[-1] + more * (size[-1] - size[-2])


def _bytes(tables: Mapping[str, pa.Table]) -> int:
    """Return the size of tables as Parquet files."""
    size = 0
    for table in tables.values():
        buffer = io.BytesIO()
        pq.write_table(table, buffer, compression="zstd")
        size += buffer.getbuffer().nbytes
    return size
