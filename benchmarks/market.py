"""Speed of a data market: submissions a CPU second, end to end, and whether it stays the same.

Plays deposit-refund-take with one honest and one bad contributor on generated texts (1,000 words),
with each model and at several sizes, from building the world to the recorded tables, and prints a
table; the last line is one JSON object. Reading or generating the samples is not counted, fitting
the model to its initial samples is. Every market is played several times: the least CPU time
counts, beside that of a fixed loop of plain Python just before it, to compare machines and loads.

    python benchmarks/market.py [--sizes 1000,5000,25000] [--models perceptron] [--repeats 3]
"""

from __future__ import annotations

import argparse
import json
import resource
import time

from experiments.loader import validate
from sim.data.folder import data_folder, load_dataset
from sim.threads import single_threaded
from sim.world import World

MODELS = "perceptron,naive-bayes,nearest-centroid"
SIZES = "1000,5000,25000,100000"
TEST = 1_000
BAD = {"wait_s": 3600.0, "offer": 100.0, "offer_sd": 3.0}
PER_DAY = 168
"""Acts of the two contributors in a day, the length of a round."""


def scenario(model: str, samples: int):
    """Return the authors' preset with one of our models and so many training samples."""
    values = {
        "name": f"market-{model}-{samples}",
        "protocol": "market",
        "rounds": 2 + samples // PER_DAY,
        "devices": 2,
        "data": {
            "dataset": "imdb-like",
            "params": {"train": samples, "test": TEST},
            "initial": max(20, samples // 12),
        },
        "market": {"model": model},
        "adversaries": [
            {"name": "bad", "devices": [1], "contributor": "bad", "habits": BAD},
        ],
    }
    return validate(values, "benchmark")


def measure(model: str, samples: int) -> dict[str, float]:
    """Play one market once; return CPU seconds and what they were spent on."""
    played = scenario(model, samples)
    chosen = played.data
    load_dataset(chosen.dataset, chosen.params, data_folder())
    began = time.process_time()
    world = World(played)
    for _ in world.run():
        pass
    tables = world.kernel.tables()
    cpu_s = time.process_time() - began
    accepted = tables["submissions"]["datum"].drop_null()
    world.close()
    return {
        "submissions": len(accepted),
        "claims": tables["claims"].num_rows,
        "cpu_s": round(cpu_s, 3),
        "per_cpu_s": round(len(accepted) / cpu_s),
    }


def calibrated() -> float:
    """Return the CPU seconds of ten million additions in plain Python."""
    began = time.process_time()
    i = 0
    while i < 10**7:
        i += 1
    return time.process_time() - began


def repeated(model: str, samples: int, repeats: int) -> dict[str, float]:
    """Return the fastest of several plays, with the fastest calibration beside them.

    `peak_mb` is the peak memory of the process so far.
    """
    loops, results = [], []
    for _ in range(repeats):
        loops.append(calibrated())
        results.append(measure(model, samples))
    best = min(results, key=lambda result: result["cpu_s"])
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    return {**best, "loop_cpu_s": round(min(loops), 3), "peak_mb": peak_mb}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", default=SIZES)
    parser.add_argument("--models", default=MODELS)
    parser.add_argument("--repeats", type=int, default=3)
    asked = parser.parse_args()
    single_threaded()
    found = {}
    for model in asked.models.split(","):
        for samples in map(int, asked.sizes.split(",")):
            result = repeated(model, samples, asked.repeats)
            found[f"{model} {samples}"] = result
            print(f"{model:20} {samples:8,} samples  {result}", flush=True)
    print(json.dumps(found))


if __name__ == "__main__":
    main()
