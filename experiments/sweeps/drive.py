"""`fedstake sweep`: run what a plan asks for and is not there yet, on this machine or a cluster."""

from __future__ import annotations

import contextlib
import io
import json
import os
import shutil
import sys
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Executor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq

from experiments.pool import StoppedError
from experiments.rundir import RunError, RunResult, check_place, write_file
from experiments.runner import RunFailure, git_state, installed, journal_table, run_many
from experiments.sweeps import manifest
from experiments.sweeps.cluster import LEAST_WINDOW, Place, cluster
from experiments.sweeps.forecast import Forecast
from experiments.sweeps.manifest import PLAN, RUNS, SWEEP, read_sweep
from experiments.sweeps.plan import PlannedRun, Spec, digest, load_spec, plan
from sim.scenario import SCHEMA_VERSION, Scenario
from sim.world import World

if TYPE_CHECKING:
    from experiments.results import Results

OnReceipt = Callable[[manifest.Receipt], None]


@dataclass(frozen=True)
class Outcome:
    """What a call of `sweep` did: runs in the plan, done before, done and failed now, seconds."""

    folder: Path
    planned: int
    found: int
    done: int
    failed: int
    wall_s: float


@dataclass(frozen=True)
class Estimate:
    """What a sweep would cost, from one pilot run of some cells: CPU seconds, wall seconds, bytes on disk."""

    runs: int
    todo: int
    cpu_s: float
    wall_s: float
    bytes: int
    pilots: int


class Sweep:
    """A plan and its folder. `todo` are the runs that are not there yet; failed ones are tried again.

    Raises `ScenarioError` for a bad plan and `RunError` for a folder that holds something else.
    """

    def __init__(
        self, source: str | Path | Mapping[str, Any] | Spec, out: str | Path | None = None
    ) -> None:
        self.spec = source if isinstance(source, Spec) else load_spec(source)
        self.folder = Path(out) if out else Path("results") / self.spec.name
        check_place(self.folder)
        self.runs = plan(self.spec)
        self.digest = digest(self.runs)
        self._check_folder()
        self.receipts = manifest.receipts(self.folder)
        there = manifest.with_data(self.folder)
        self.damaged = manifest.damaged(self.folder, (p.run_id for p in self.runs))
        there -= set(self.damaged)
        done = {r.run_id for r in self.receipts.values() if r.status == "done"} & there
        # All cells with the first seed, then with the second, ...: what is there early is balanced, and so is its forecast.
        order = {seed: i for i, seed in enumerate(self.spec.seed_list)}
        self.todo = sorted(
            (p for p in self.runs if p.run_id not in done), key=lambda p: order[p.seed]
        )

    def _check_folder(self) -> None:
        told = read_sweep(self.folder) if (self.folder / SWEEP).is_file() else None
        if told is None:
            # A process that was killed as it began leaves a part of the first file.
            mine = (f".{SWEEP}.",)
            if self.folder.is_dir() and not all(
                entry.name.startswith(mine) for entry in self.folder.iterdir()
            ):
                raise RunError(
                    f"{self.folder}: holds something else than a sweep; choose another --out"
                )
        elif told["schema_version"] != SCHEMA_VERSION:
            raise RunError(
                f"{self.folder}: recorded with schema {told['schema_version']}, this version writes {SCHEMA_VERSION}; "
                "choose another --out"
            )
        elif told["plan_digest"] != self.digest:
            raise RunError(
                f"{self.folder}: holds another sweep ({told['spec']['name']}: {told['runs']} runs), or its file or scenario has "
                "changed since; choose another --out"
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
        """Run what is to do. A run that fails is recorded and the others go on; whatever stops this, calling it again goes on.

        Args:
            workers: processes on this machine (default: all cores; 1: in this process).
            dask: address of a Dask scheduler to run on instead.
            executor: any other executor to run on instead; its workers see the folder.
            data: folder of data files.
            on_receipt: called with a `Receipt` as each run ends.

        Raises `StoppedError` when the executor or the cluster breaks.
        """
        began = time.perf_counter()
        self._write_plan()
        for run_id in (
            self.damaged
        ):  # a power cut, a full disk: what is not what was recorded is played again
            shutil.rmtree(self.folder / RUNS / run_id, ignore_errors=True)
        counts = {"done": 0, "failed": 0}

        def keep(outcome: RunResult | RunFailure) -> None:
            receipt = _receipt(outcome)
            manifest.append(self.folder, receipt)
            counts[receipt.status] += 1
            if on_receipt:
                on_receipt(receipt)

        here: Place = executor, LEAST_WINDOW, None
        try:
            with (
                cluster(dask, self.folder.absolute()) if dask else contextlib.nullcontext(here) as (
                    chosen,
                    window,
                    alive,
                )
            ):
                run_many(
                    [p.scenario for p in self.todo],
                    self.folder / RUNS,
                    workers=workers,
                    data=data,
                    executor=chosen,
                    in_flight=window,
                    alive=alive,
                    on_done=keep,
                )
        except StoppedError as error:
            ended = counts["done"] + counts["failed"]
            where = f"--dask {dask}: " if dask and str(dask) not in str(error) else ""
            raise StoppedError(
                f"{where}{error}; {ended} of {len(self.todo)} runs ended, the same command goes on from there"
            ) from None
        elapsed = time.perf_counter() - began
        found = len(self.runs) - len(self.todo)
        return Outcome(
            self.folder, len(self.runs), found, counts["done"], counts["failed"], elapsed
        )

    def forecast(self) -> Forecast:
        """The time that `todo` will take, to be told of every receipt."""
        cells = {p.run_id: p.cell for p in self.runs}
        known = [
            (cells[r.run_id], r.wall_s)
            for r in self.receipts.values()
            if r.status == "done" and r.run_id in cells
        ]
        return Forecast({p.run_id: p.cell for p in self.todo}, known)

    def estimate(
        self, *, workers: int | None = None, data: str | Path | None = None, pilots: int = 4
    ) -> Estimate:
        """Play two rounds of a few runs spread over the plan, and extrapolate; nothing is written."""
        n = len(self.todo)
        chosen = (
            [self.todo[i * n // pilots] for i in range(min(pilots, n))]
            if n >= pilots
            else self.todo
        )
        costs = [pilot(p.scenario, data) for p in chosen]
        cpu_s = n * sum(c for c, _ in costs) / max(1, len(costs))
        size = int(n * sum(b for _, b in costs) / max(1, len(costs)))
        return Estimate(
            len(self.runs),
            n,
            cpu_s,
            cpu_s / min(workers or os.cpu_count() or 1, max(1, n)),
            size,
            len(chosen),
        )

    def _write_plan(self) -> None:
        spec = {"name": self.spec.name} | self.spec.model_dump(
            mode="json", exclude_unset=True
        )  # can be given again
        if (self.folder / SWEEP).is_file() and (self.folder / PLAN).is_file():
            told = read_sweep(self.folder)
            if told["spec"].get("scorecard") != spec.get(
                "scorecard"
            ):  # how it is read is no part of what is run
                write_file(self.folder / SWEEP, json.dumps(told | {"spec": spec}, indent=2) + "\n")
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        for part in (file for name in (SWEEP, PLAN) for file in self.folder.glob(f".{name}.*")):
            part.unlink()  # of a process that was killed as it began
        buffer = io.BytesIO()
        pq.write_table(plan_table(self.runs, self.spec.factors), buffer, compression="zstd")
        told = {
            "schema_version": SCHEMA_VERSION,
            "spec": spec,
            "plan_digest": self.digest,
            "factors": self.spec.factors,
            "runs": len(self.runs),
            "versions": {
                name: installed(name) for name in ("fedstake", "numpy", "torch", "pyarrow")
            },
            "git": git_state(),
            "command": sys.argv,
        }
        # First what says that this is a sweep: killed in between, the next call finds its own folder and goes on.
        write_file(self.folder / SWEEP, json.dumps(told, indent=2) + "\n")
        write_file(self.folder / PLAN, buffer.getvalue())


def sweep(
    source: str | Path | Mapping[str, Any],
    out: str | Path | None = None,
    *,
    workers: int | None = None,
    dask: str | None = None,
    executor: Executor | None = None,
    data: str | Path | None = None,
    on_receipt: OnReceipt | None = None,
) -> Results:
    """Run a sweep, or what of it is not there yet, and open its results.

    Args:
        source: a TOML file, or the same as a table of plain values.
        out: the sweep's folder, by default `results/<name>`.
        workers: processes on this machine (default: all cores; 1: in this process).
        dask: address of a Dask scheduler to run on instead.
        executor: any other executor to run on instead; its workers see the folder.
        data: folder of data files.
        on_receipt: called with a `Receipt` as each run ends.
    """
    from experiments.results import Results

    asked = Sweep(source, out)
    asked.play(workers=workers, dask=dask, executor=executor, data=data, on_receipt=on_receipt)
    return Results.open(asked.folder)


def plan_table(runs: list[PlannedRun], factors: list[str]) -> pa.Table:
    """One row per run: id, cell, seed, the label of each factor, and the cell's scenario (with seed 0) as JSON.

    Labels of one factor that are not all numbers, or not all truth values, are kept as text.
    """
    cells: dict[int, str] = {}
    for p in runs:
        if p.cell not in cells:
            cells[p.cell] = json.dumps(
                p.scenario.model_copy(update={"seed": 0}).to_dict(), sort_keys=True
            )
    columns: dict[str, Any] = {
        "run_id": [p.run_id for p in runs],
        "cell": [p.cell for p in runs],
        "seed": [p.seed for p in runs],
        "scenario": pa.array([cells[p.cell] for p in runs]).dictionary_encode(),
    }
    for name in factors:
        labels = [p.labels[name] for p in runs]
        kinds = {
            bool if isinstance(v, bool) else float if isinstance(v, int | float) else str
            for v in labels
        }
        columns[name] = labels if len(kinds) == 1 and kinds != {str} else [_text(v) for v in labels]
    return pa.table(columns)


def _text(label: Any) -> str:
    return label if isinstance(label, str) else json.dumps(label)


def _receipt(outcome: RunResult | RunFailure) -> manifest.Receipt:
    if isinstance(outcome, RunFailure):
        return manifest.Receipt(outcome.run_id, "failed", stage=outcome.stage, error=outcome.error)
    told = outcome.manifest
    size = sum(f["bytes"] for f in told["files"].values())
    return manifest.Receipt(told["run_id"], "done", told["wall_s"], told["cpu_s"], size)


def pilot(scenario: Scenario, data: str | Path | None = None) -> tuple[float, int]:
    """(CPU seconds, bytes) that a whole run would take: what it and its first round take, and for each other round the second."""
    began = time.process_time()
    world = World(scenario, data)
    cpu, size = time.process_time() - began, [0]
    try:
        for _ in range(min(2, scenario.rounds)):
            began = time.process_time()
            world.step()
            round_s = time.process_time() - began
            cpu += round_s
            began = time.process_time()
            size.append(_bytes({**world.recorder.tables(), "journal": journal_table(world)}))
            write_s = time.process_time() - began
    finally:
        world.close()
    more = scenario.rounds - len(size) + 1
    return cpu + more * round_s + write_s, size[-1] + more * (size[-1] - size[-2])


def _bytes(tables: Mapping[str, pa.Table]) -> int:
    size = 0
    for table in tables.values():
        buffer = io.BytesIO()
        pq.write_table(table, buffer, compression="zstd")
        size += buffer.getbuffer().nbytes
    return size
