"""Seconds to read 1,000,000 participant rows of 10,000 runs, before and after `compact`.

    python benchmarks/results.py [--runs 10000] [--devices 20] [--rounds 5]

Measured are a summary by two keys, opening, and a small table. The sweep's plan is real (a grid of
10 x 10 cells, 100 seeds); its run directories are copies of 40 real runs of synthetic data, which
are read like any others. Each time is the best of three, counted from `Results.open`. Last line:
one JSON object.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd

from experiments.results import Results
from experiments.runner import run
from experiments.sweeps import manifest
from experiments.sweeps.drive import Sweep

TEMPLATES = 40
FACTORS = {
    "training.learning_rate": [round(0.01 * i, 2) for i in range(1, 11)],
    "validation.params.threshold": [round(0.02 * i, 2) for i in range(1, 11)],
}


def build(folder: Path, runs: int, devices: int, rounds: int) -> None:
    """Write a complete sweep of `runs` runs with `devices * rounds` participant rows each."""
    fixed = {
        "devices": devices,
        "rounds": rounds,
        "data.dataset": "synthetic",
        "data.params": {"train": 20 * devices, "test": 60, "features": 6, "classes": 3},
        "data.partition": "iid",
        "data.validation_fraction": 0.25,
        "model.name": "softmax",
        "training.epochs": 1,
    }
    planned = Sweep(
        {
            "name": "large",
            "scenario": "vbfl",
            "set": fixed,
            "seeds": runs // 100,
            "design": [{"factors": FACTORS}],
        },
        folder,
    )
    planned._write_plan()
    step = max(1, len(planned.runs) // TEMPLATES)
    played = [run(p.scenario, folder / "runs" / p.run_id) for p in planned.runs[::step]]
    for i, p in enumerate(planned.runs):
        template = played[i % len(played)]
        place = folder / "runs" / p.run_id
        if not place.exists():
            shutil.copytree(template.path, place)
        size = sum(file["bytes"] for file in template.manifest["files"].values())
        manifest.append(folder, manifest.Receipt(p.run_id, "done", 1.0, 1.0, size))


def best(action: Callable[[], Any], times: int = 3) -> float:
    """Return the least wall seconds of several calls."""
    seconds = []
    for _ in range(times):
        began = time.perf_counter()
        action()
        seconds.append(time.perf_counter() - began)
    return min(seconds)


def read(folder: Path) -> dict[str, float]:
    """Measure reading the sweep."""

    def read_small_table() -> pd.DataFrame:
        results = Results.open(folder)
        results.runs()
        return results.rounds(columns=["round", "accuracy"])

    return {
        "summary_by_two_keys_wall_s": best(lambda: Results.open(folder).summary(by=list(FACTORS))),
        "open_runs_and_small_table_wall_s": best(read_small_table),
        "all_participants_wall_s": best(lambda: Results.open(folder).participants(), 1),
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--runs", type=int, default=10_000)
    parser.add_argument("--devices", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "large"
        build(folder, args.runs, args.devices, args.rounds)
        results = Results.open(folder)
        count = "select count(*) as n from participants"
        rows = int(results.sql(count, tables=("participants",))["n"].iloc[0])
        found: dict[str, Any] = {
            "runs": len(results.runs()),
            "participant_rows": rows,
            "directories": read(folder),
        }
        found["compact_wall_s"] = best(results.compact, 1)
        files = (folder / "compact").rglob("*.parquet")
        found["compact_bytes"] = sum(file.stat().st_size for file in files)
        found["compact"] = read(folder)
        again = Sweep({**results.spec, "name": "large"}, folder)
        if again.todo:
            raise SystemExit("a compacted run would be run again")
    for where in ("directories", "compact"):
        times = []
        for name, value in found[where].items():
            words = name.removesuffix("_wall_s").replace("_", " ")
            times.append(f"{words} {value:.2f} s")
        print(f"{where}: {', '.join(times)}")
    found |= {"cores": os.cpu_count(), "load_average": [round(x, 2) for x in os.getloadavg()]}
    print(json.dumps(found))


if __name__ == "__main__":
    main()
