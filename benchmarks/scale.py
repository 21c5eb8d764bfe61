"""Seconds and peak memory of a VBFL round with 20, 100 and 1,000 devices.

    python benchmarks/scale.py [--devices 20 100 1000] [--rounds 3] [--model mnist_2nn]

Each device has 100 samples, each update 5 validators. Each size runs in a process of its own (for
its peak memory), on generated images of 28 x 28. `other` is everything that is not training or
testing a model: roles, messages, votes, signatures, blocks, ledger, recording. Last line: one JSON
object.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import time

from measure import Stopwatch, bench, write_tables

from experiments import load_scenario
from sim.threads import single_threaded
from sim.world import World

SAMPLES = 100


def measure(devices: int, rounds: int, model: str) -> dict[str, float]:
    """Measure one size, in this process."""
    single_threaded()
    workers, miners = devices * 12 // 20, devices * 3 // 20
    overrides = {
        "devices": devices,
        "rounds": rounds + 1,
        "data.dataset": "synthetic",
        # A fifth of the samples is for validation: every device trains on SAMPLES and validates on
        # SAMPLES / 4.
        "data.params": {
            "train": devices * SAMPLES * 5 // 4,
            "test": 1_000,
            "features": 784,
            "side": 28,
            "separation": 6.0,
        },
        "data.partition": "iid",
        "data.validation_fraction": 0.2,
        "model.name": model,
        "roles.params.counts": f"{workers},{devices - workers - miners},{miners}",
        "validation.committee": 5,
        "validation.params.threshold": 1.0,
    }
    world = World(load_scenario("vbfl", overrides))
    learning = Stopwatch()
    learning.wrap(bench(world).engine, "train")
    learning.wrap(bench(world).engine, "evaluate")
    total, other = [], []
    for _ in range(rounds + 1):
        before = learning.seconds
        began = time.process_time()
        world.step()
        total.append(time.process_time() - began)
        other.append(total[-1] - (learning.seconds - before))
    writing = write_tables(world) / (rounds + 1)
    round_cpu = statistics.median(total[1:]) + writing
    other_cpu = statistics.median(other[1:]) + writing
    rounds_so_far = world.kernel.recorder.columns("rounds")
    votes = rounds_so_far["votes_positive"][-1] + rounds_so_far["votes_negative"][-1]
    return {
        "round_cpu_s": round_cpu,
        "other_cpu_s": other_cpu,
        "other_share": other_cpu / round_cpu,
        "votes_per_round": votes,
        "accuracy_last": rounds_so_far["accuracy"][-1],
        "peak_memory_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--devices", type=int, nargs="+", default=[20, 100, 1_000])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--model", default="mnist_2nn")
    parser.add_argument("--one", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.one:
        print(json.dumps(measure(args.devices[0], args.rounds, args.model)))
        return
    report: dict[str, object] = {
        "model": args.model,
        "samples_per_device": SAMPLES,
        "validators_per_update": 5,
        "sizes": {},
    }
    for n in args.devices:
        command = [sys.executable, __file__, "--one", "--devices", str(n)]
        command += ["--rounds", str(args.rounds), "--model", args.model]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise SystemExit(done.stderr)
        result = json.loads(done.stdout.splitlines()[-1])
        report["sizes"][n] = result  # type: ignore[index]
        print(
            f"{n:5d} devices: {result['round_cpu_s']:.2f} CPU s a round, "
            f"{result['other_cpu_s']:.3f} of it not learning ({result['other_share']:.1%}), "
            f"{result['votes_per_round']:,} votes, peak {result['peak_memory_mb']:,.0f} MB",
            flush=True,
        )
    print(json.dumps(report))


if __name__ == "__main__":
    main()
