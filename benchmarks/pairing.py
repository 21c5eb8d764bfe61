"""Common random numbers: intervals of differences with the same seeds in both arms and with others.

    python benchmarks/pairing.py [--seeds 30] [--workers N]

Preset digits-quick, 3 of 20 devices noisy. Three comparisons: the utility of one device, and the
mean of all honest ones, under two payout rules that pay about as much; final accuracy with and
without the vote (threshold 0.08 and 1). The last line is one JSON object; `_ratio` is the variance
of the difference with independent seeds over that with the same ones.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile

import numpy as np
from scipy import stats

from experiments import Results, sweep

COMPARED = {
    "device": ("vbfl", "data-size", "device_utility"),
    "honest": ("vbfl", "data-size", "honest_utility"),
    "vote": ("vbfl", "open", "accuracy"),
}


def half_width(differences: np.ndarray) -> float:
    """Return half of the 95 % interval of a mean (Student)."""
    n = len(differences)
    return float(stats.t.ppf(0.975, n - 1) * differences.std(ddof=1) / n**0.5)


def compare(results: Results, first: str, second: str, column: str) -> dict[str, float]:
    """Compare two arms paired by seed, and with the seeds of the second arm shifted by one.

    The latter are independent draws of the same two distributions.
    """
    people = results.participants(columns=["device", "utility"], where="device = 0")
    alone = people.groupby("run_id")["utility"].sum().rename("device_utility").reset_index()
    outcomes = results.outcomes().merge(alone, on="run_id")
    frame = outcomes.pivot_table(index="seed", columns="arm", values=column)
    a, b = frame[first].to_numpy(), frame[second].to_numpy()
    paired, apart = a - b, a - np.roll(b, 1)
    return {
        "difference": float(paired.mean()),
        "half_width_paired": half_width(paired),
        "half_width_independent": half_width(apart),
        "variance_ratio": float(apart.var(ddof=1) / paired.var(ddof=1)),
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", type=int, default=30)
    parser.add_argument("--workers", type=int, default=os.cpu_count())
    args = parser.parse_args()
    arms = {
        "vbfl": {},
        "data-size": {"payout.mechanism": "data-size", "payout.params": {"pot": 3_000}},
        "open": {"validation.params": {"threshold": 1.0}},
    }
    spec = {
        "name": "pairing",
        "scenario": "digits-quick",
        "seeds": args.seeds,
        "design": [{"factors": {"arm": arms}}],
    }
    with tempfile.TemporaryDirectory() as folder:
        results = sweep(spec, f"{folder}/pairing", workers=args.workers)
        compared = {name: compare(results, *arm) for name, arm in COMPARED.items()}
    report: dict[str, float] = {"seeds": args.seeds}
    for name, values in compared.items():
        print(name, {key: round(value, 4) for key, value in values.items()})
        report |= {f"{name}_{key}": value for key, value in values.items()}
    print(json.dumps(report))


if __name__ == "__main__":
    main()
