"""Share of its workers' time that a sweep spends in runs: 400 runs of digits-quick.

    python benchmarks/sweep.py [--runs 400] [--workers 4 2] [--executors processes dask]
                               [--trivial 2000]

In processes of this machine and on Dask. A small sweep of 4 runs a worker is played first, so that
starting processes and imports do not count. Then
    efficiency  sum of the runs' CPU seconds / (workers x wall seconds); other load lowers it
    of_cpu      sum of the runs' CPU seconds / CPU seconds of the workers; other load does not count
    occupancy   sum of the runs' wall seconds / (workers x wall seconds); other load does not count
    overhead    (workers x wall - sum of the runs' wall) / runs: the time between two runs of a
                worker, and waiting at the end
    trivial     wall seconds per task of a function that does nothing, through the same code
A run's own seconds end where it begins to write its directory. Nothing listens beyond 127.0.0.1.
Last line: one JSON object.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import platform
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil

from experiments.pool import in_processes, on_executor
from experiments.results import Results
from experiments.sweeps.drive import Sweep

LEVELS = [0, 2, 4, 6]
RATES = [0.05, 0.1]


def spec(runs: int, name: str, first_seed: int) -> dict[str, Any]:
    """Return a sweep of `runs` runs: a grid of 8 cells, with as many seeds as needed."""
    seeds = max(1, runs // (len(LEVELS) * len(RATES)))
    factors = {"adversaries.0.count": LEVELS, "training.learning_rate": RATES}
    return {
        "name": name,
        "seeds": list(range(first_seed, first_seed + seeds)),
        "design": [{"factors": factors}],
    }


@contextlib.contextmanager
def place(executor: str, workers: int, folder: Path) -> Iterator[dict[str, Any]]:
    """Start an executor; yield it as arguments of `Sweep.play`."""
    if executor == "processes":
        yield {"workers": workers}
        return
    from distributed import LocalCluster

    here = "127.0.0.1:0"
    with LocalCluster(
        n_workers=workers,
        threads_per_worker=1,
        processes=True,
        host="127.0.0.1",
        scheduler_port=0,
        dashboard_address=here,
        worker_dashboard_address=here,
        local_directory=str(folder / "dask"),
    ) as cluster:
        yield {"dask": cluster.scheduler_address}


def measure(executor: str, workers: int, runs: int, trivial: int) -> dict[str, float]:
    """Measure a sweep and trivial tasks on an executor."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        with place(executor, workers, folder) as where:
            began = time.perf_counter()
            Sweep(spec(4 * workers, "warm", 10_000), folder / "warm").play(**where)
            start_s = time.perf_counter() - began
            planned = Sweep(spec(runs, "timed", 0), folder / "timed")
            here = "dask" not in where and workers == 1
            before = workers_cpu_s(here)
            began = time.perf_counter()
            outcome = planned.play(**where)
            wall_s = time.perf_counter() - began
            after = workers_cpu_s(here)
            trivial_s = _play_trivial(where, workers, trivial)
        frame = Results.open(folder / "timed").runs()
        if outcome.done != len(frame):
            raise SystemExit(f"{outcome.failed} runs failed")
        runs_cpu_s, runs_wall_s = float(frame["cpu_s"].sum()), float(frame["wall_s"].sum())
        used_cpu_s = sum(cpu_s - before.get(pid, 0.0) for pid, cpu_s in after.items())
        available_s = workers * wall_s
        return {
            "runs": len(frame),
            "workers": workers,
            "start_and_first_runs_wall_s": start_s,
            "wall_s": wall_s,
            "runs_cpu_s": runs_cpu_s,
            "runs_wall_s": runs_wall_s,
            "efficiency": runs_cpu_s / available_s,
            "of_cpu": runs_cpu_s / used_cpu_s,
            "occupancy": runs_wall_s / available_s,
            "overhead_per_run_worker_ms": (available_s - runs_wall_s) / len(frame) * 1e3,
            "trivial_task_wall_ms": trivial_s / trivial * 1e3,
            "bytes_per_run": float(frame["bytes"].mean()),
        }


def workers_cpu_s(here: bool) -> dict[int, float]:
    """Return the CPU seconds so far of each process below this one, or of this one: one worker."""
    me = psutil.Process()
    processes = [me] if here else me.children(recursive=True)
    return {p.pid: sum(p.cpu_times()[:2]) for p in processes}


def _play_trivial(where: dict[str, Any], workers: int, n: int) -> float:
    """Return the wall seconds of n tasks that do nothing."""
    tasks = [(i,) for i in range(n)]
    began = time.perf_counter()
    if "workers" in where:
        in_processes(nothing, tasks, workers, _drop, _drop)
        return time.perf_counter() - began
    from distributed import Client

    with Client(where["dask"], set_as_default=False) as client:
        client.submit(nothing, -1).result()
        began = time.perf_counter()
        on_executor(client.get_executor(pure=False), nothing, tasks, 1_000, _drop, _drop)
        return time.perf_counter() - began


def nothing(i: int) -> int:
    """Do nothing, as a task."""
    return i


def _drop(*_: Any) -> None:
    pass


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--runs", type=int, default=400)
    parser.add_argument("--workers", type=int, nargs="+", default=[4, 2])
    parser.add_argument(
        "--executors", nargs="+", choices=["processes", "dask"], default=["processes", "dask"]
    )
    parser.add_argument("--trivial", type=int, default=2_000)
    args = parser.parse_args()
    found = {}
    for executor in args.executors:
        for workers in args.workers:
            r = found[f"{executor}-{workers}"] = measure(executor, workers, args.runs, args.trivial)
            print(
                f"{executor}, {workers} workers: {r['runs']} runs in {r['wall_s']:.1f} s, "
                f"efficiency {r['efficiency']:.3f}, of the workers' CPU {r['of_cpu']:.3f}, "
                f"occupancy {r['occupancy']:.3f}, "
                f"{r['overhead_per_run_worker_ms']:.1f} ms between runs, "
                f"{r['trivial_task_wall_ms']:.2f} ms a trivial task; "
                f"{r['start_and_first_runs_wall_s']:.1f} s to start",
                flush=True,
            )
    report = {
        "cores": os.cpu_count(),
        "load_average": [round(x, 2) for x in os.getloadavg()],
        "platform": platform.platform(),
        "measured": found,
    }
    print(json.dumps(report))


if __name__ == "__main__":
    main()
