"""Seconds and memory of rules and attacks on a matrix of updates, 1,000 rows of 200,000 numbers.

    python benchmarks/matrix_rules.py [--rows 1000] [--columns 200000]

Each rule runs in a process of its own (for its peak memory, the rows included), on one thread. Last
line: one JSON object.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time

RULES = (
    "mean",
    "median",
    "trimmed-mean",
    "krum",
    "multi-krum",
    "bulyan",
    "geometric-median",
    "centred-clipping",
    "fltrust",
    "foolsgold",
)
TRANSFORMS = ("nearest-neighbour-mixing", "norm-clipping")
NEED_F = ("trimmed-mean", "krum", "multi-krum", "bulyan", "nearest-neighbour-mixing")
ATTACKS = ("alie", "inner-product", "min-max", "min-sum", "sign-flip")


def one(name: str, rows: int, columns: int) -> None:
    """Measure one rule, transform or attack in this process, and print the result as JSON."""
    import numpy as np

    from agents import registries as behaviours
    from mechanisms import registries as rules
    from mechanisms.vocabulary import AggregationObservation, WorkerObservation
    from sim.threads import single_threaded

    single_threaded()
    rng = np.random.default_rng(0)
    x = rng.standard_normal((rows, columns), dtype=np.float32)
    base = np.zeros(columns, dtype=np.float32)
    params = {"f": rows // 5} if name in NEED_F else {}
    seen = AggregationObservation(
        round=1,
        workers=tuple(range(rows)),
        updates=x,
        samples=np.full(rows, 100),
        global_model=base,
        root=x[0],
    )
    if name in ATTACKS:
        bad = rows // 10
        crowd = WorkerObservation(
            round=1,
            devices=tuple(range(bad)),
            updates=x[:bad],
            global_models=np.broadcast_to(base, (bad, columns)),
            samples=np.full(bad, 100),
            epochs=np.full(bad, 5),
            layout=(),
            rngs=tuple(np.random.default_rng(i) for i in range(bad)),
            others=x[bad:],
        )
        attack = behaviours.workers.create(name)
    began, cpu = time.perf_counter(), time.process_time()
    if name in RULES:
        rules.aggregators.create(name, params).aggregate(seen)
    elif name in TRANSFORMS:
        rules.transforms.create(name, params).apply(seen)
    else:
        attack.submit(crowd)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    report = {
        "wall_s": time.perf_counter() - began,
        "cpu_s": time.process_time() - cpu,
        "peak_memory_gib": peak,
    }
    print(json.dumps(report))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=1_000)
    parser.add_argument("--columns", type=int, default=200_000)
    parser.add_argument("--one", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.one:
        one(args.one, args.rows, args.columns)
        return
    report = {}
    for name in (*RULES, *TRANSFORMS, *ATTACKS):
        size = ["--rows", str(args.rows), "--columns", str(args.columns)]
        done = subprocess.run(
            [sys.executable, __file__, "--one", name, *size],
            capture_output=True,
            text=True,
            check=True,
        )
        measured = json.loads(done.stdout.splitlines()[-1])
        report[name] = measured
        print(
            f"{name:26} {measured['cpu_s']:6.2f} CPU s, peak {measured['peak_memory_gib']:.2f} GiB",
            flush=True,
        )
    print(json.dumps({"rows": args.rows, "columns": args.columns, "rules": report}))


if __name__ == "__main__":
    main()
