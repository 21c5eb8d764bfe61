"""`fedstake sweep`: run what a plan asks for and is not there yet, on this machine or a cluster."""

from __future__ import annotations

import contextlib
import io
import json
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Executor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from experiments.rundir import MANIFEST as RUN_MANIFEST
from experiments.rundir import RunError, RunResult, check_place, write_file
from experiments.runner import RunFailure, _git_state, _version, run_many
from experiments.sweeps import manifest
from experiments.sweeps.plan import PlannedRun, Spec, load_spec, planned
from sim.scenario import SCHEMA_VERSION
from sim.world import World

SWEEP, PLAN, RUNS = "sweep.json", "plan.parquet", "runs"
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
    """A plan and its folder. `todo` are the runs that are not there yet; failed ones are tried again."""

    def __init__(self, source: str | Path | Mapping[str, Any] | Spec, out: str | Path | None = None) -> None:
        self.spec = source if isinstance(source, Spec) else load_spec(source)
        self.folder = Path(out) if out else Path("results") / self.spec.name
        check_place(self.folder)
        self._check_folder()
        self.runs = list(planned(self.spec))
        ended = manifest.receipts(self.folder)
        self.todo = [p for p in self.runs if not self._is_there(p, ended)]

    def _is_there(self, p: PlannedRun, ended: Mapping[str, manifest.Receipt]) -> bool:
        run_id = p.scenario.run_id()
        receipt = ended.get(run_id)
        return receipt is not None and receipt.status == "done" and self._has_data(run_id)

    def _has_data(self, run_id: str) -> bool:
        return (self.folder / RUNS / run_id / RUN_MANIFEST).is_file() or run_id in _compacted(self.folder)

    def _check_folder(self) -> None:
        told = read_sweep(self.folder) if (self.folder / SWEEP).is_file() else None
        if told is None:
            if self.folder.is_dir() and any(self.folder.iterdir()):
                raise RunError(f"{self.folder}: holds something else than a sweep; choose another --out")
        elif told["schema_version"] != SCHEMA_VERSION:
            raise RunError(
                f"{self.folder}: recorded with schema {told['schema_version']}, this version writes {SCHEMA_VERSION}; "
                "choose another --out"
            )
        elif told["spec_digest"] != self.spec.digest():
            raise RunError(f"{self.folder}: holds another sweep ({told['spec']['name']}); choose another --out")

    def play(
        self,
        *,
        workers: int | None = None,
        dask: str | None = None,
        data: str | Path | None = None,
        on_receipt: OnReceipt | None = None,
    ) -> Outcome:
        """Run what is to do. A run that fails is recorded and the others go on; whatever stops this, calling it again goes on."""
        began = time.perf_counter()
        self._write_plan()
        counts = {"done": 0, "failed": 0}
        lost: list[str] = []

        def keep(outcome: RunResult | RunFailure) -> None:
            if isinstance(outcome, RunFailure) and outcome.stage == "process" and dask:
                lost.append(outcome.error)  # the cluster failed, not the run
                return
            receipt = _receipt(outcome)
            manifest.append(self.folder, receipt)
            counts[receipt.status] += 1
            if on_receipt:
                on_receipt(receipt)

        scenarios = [p.scenario for p in self.todo]
        with _executor(dask) as (executor, slots):
            run_many(
                scenarios,
                self.folder / RUNS,
                workers=workers,
                data=data,
                executor=executor,
                in_flight=2 * slots if slots else None,
                on_done=keep,
            )
        if lost:
            raise RunError(
                f"{dask}: the cluster went away ({lost[0]}); {counts['done']} of {len(self.todo)} runs are done, the same "
                "command goes on from there"
            )
        elapsed = time.perf_counter() - began
        found = len(self.runs) - len(self.todo)
        return Outcome(self.folder, len(self.runs), found, counts["done"], counts["failed"], elapsed)

    def estimate(self, *, workers: int | None = None, data: str | Path | None = None, pilots: int = 4) -> Estimate:
        """Play two rounds of a few cells spread over the plan, and extrapolate; nothing is written."""
        step = max(1, len(self.todo) // pilots)
        chosen = self.todo[::step][:pilots]
        costs = [_pilot(p, data) for p in chosen]
        n = len(self.todo)
        cpu_s = n * sum(c for c, _ in costs) / len(costs) if costs else 0.0
        size = int(n * sum(b for _, b in costs) / len(costs)) if costs else 0
        return Estimate(len(self.runs), n, cpu_s, cpu_s / (workers or os.cpu_count() or 1), size, len(chosen))

    def _write_plan(self) -> None:
        if (self.folder / SWEEP).is_file() and (self.folder / PLAN).is_file():
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        buffer = io.BytesIO()
        pq.write_table(plan_table(self.runs, self.spec.factors), buffer, compression="zstd")
        write_file(self.folder / PLAN, buffer.getvalue())
        told = {
            "schema_version": SCHEMA_VERSION,
            "spec": self.spec.model_dump(mode="json"),
            "spec_digest": self.spec.digest(),
            "factors": self.spec.factors,
            "runs": len(self.runs),
            "versions": {name: _version(name) for name in ("fedstake", "numpy", "torch", "pyarrow")},
            "git": _git_state(),
            "command": sys.argv,
        }
        write_file(self.folder / SWEEP, json.dumps(told, indent=2, sort_keys=True) + "\n")


def sweep(
    source: str | Path | Mapping[str, Any],
    out: str | Path | None = None,
    *,
    workers: int | None = None,
    dask: str | None = None,
    data: str | Path | None = None,
    on_receipt: OnReceipt | None = None,
) -> Any:
    """Run a sweep, or what of it is not there yet, and open its results.

    Args:
        source: a TOML file, or the same as a table of plain values.
        out: the sweep's folder, by default `results/<name>`.
        workers: processes on this machine (default: all cores; 1: in this process).
        dask: address of a Dask scheduler to run on instead.
        data: folder of data files.
        on_receipt: called with a `Receipt` as each run ends.
    """
    from experiments.results import Results

    Sweep(source, out).play(workers=workers, dask=dask, data=data, on_receipt=on_receipt)
    return Results.open(Path(out) if out else Path("results") / load_spec(source).name)


def read_sweep(folder: Path) -> dict[str, Any]:
    """`sweep.json` of a folder; `RunError` when it is none."""
    try:
        told = json.loads((folder / SWEEP).read_text())
        _ = told["schema_version"], told["spec"]["name"], told["spec_digest"], told["factors"]
    except FileNotFoundError:
        raise RunError(f"{folder}: no {SWEEP}: not a sweep") from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RunError(f"{folder / SWEEP}: unreadable ({type(error).__name__}: {error})") from error
    return told


def plan_table(runs: list[PlannedRun], factors: list[str]) -> pa.Table:
    """One row per run: id, cell, seed, the label of each factor, and the cell's scenario (with seed 0) as JSON.

    Labels of one factor that are not all numbers, or not all truth values, are kept as text.
    """
    cells: dict[int, str] = {}
    for p in runs:
        if p.cell not in cells:
            cells[p.cell] = json.dumps(p.scenario.model_copy(update={"seed": 0}).to_dict(), sort_keys=True)
    columns: dict[str, Any] = {
        "run_id": [p.scenario.run_id() for p in runs],
        "cell": [p.cell for p in runs],
        "seed": [p.seed for p in runs],
        "scenario": pa.array([cells[p.cell] for p in runs]).dictionary_encode(),
    }
    for name in factors:
        labels = [p.labels[name] for p in runs]
        kinds = {bool if isinstance(v, bool) else float if isinstance(v, int | float) else str for v in labels}
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


def _compacted(folder: Path) -> frozenset[str]:
    from experiments.results import compacted

    return compacted(folder)


def _pilot(p: PlannedRun, data: str | Path | None) -> tuple[float, int]:
    """(CPU seconds, bytes) that a whole run would take, from its building and two of its rounds."""
    began = time.process_time()
    world = World(p.scenario, data)
    built = time.process_time()
    rounds = min(2, p.scenario.rounds)
    for _ in range(rounds):
        world.step()
    played = time.process_time()
    size = 0
    for table in world.recorder.tables().values():
        buffer = io.BytesIO()
        pq.write_table(table, buffer, compression="zstd")
        size += buffer.getbuffer().nbytes
    world.close()
    return built - began + (played - built) / rounds * p.scenario.rounds, int(size / rounds * p.scenario.rounds)


@contextlib.contextmanager
def _executor(dask: str | None) -> Iterator[tuple[Executor | None, int]]:
    """Nothing special for this machine; for a Dask scheduler its executor and the number of its threads."""
    if dask is None:
        yield None, 0
        return
    try:
        from distributed import Client
    except ImportError:
        raise RunError(f"--dask {dask}: needs dask.distributed; pip install 'fedstake[dask]'") from None
    try:
        client = Client(dask, timeout="10s", set_as_default=False)
    except (OSError, ValueError, TimeoutError) as error:
        raise RunError(f"--dask {dask}: no scheduler answers there ({type(error).__name__})") from None
    with client:
        slots = sum(client.nthreads().values())
        if not slots:
            raise RunError(f"--dask {dask}: the scheduler has no workers")
        with client.get_executor(pure=False) as executor:
            yield executor, slots
