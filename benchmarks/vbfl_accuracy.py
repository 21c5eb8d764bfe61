"""Accuracy per round on real digits: VBFL as published and FedAvg, attacked and not.

    python benchmarks/vbfl_accuracy.py --data DIR [--seeds 5] [--rounds 40] [--workers 4]
                                       [--out results/vbfl_accuracy]

DIR holds mnist/t10k-*-ubyte.gz. Prints mean and 95 % interval (Student's t over seeds) at rounds 5,
10, 20, 30, 40, and one JSON object as its last line.
"""

from __future__ import annotations

import argparse
import json

import pandas as pd
from scipy import stats

from experiments import load_scenario, run_many
from experiments.runner import RunFailure

ARMS = {
    "VBFL published, 0/20, threshold 1.0": ("vbfl-published", {"validation.params.threshold": 1.0}),
    "VBFL published, 3/20, threshold 0.08": ("vbfl-published", {"adversaries.0.count": 3}),
    "VBFL published, 3/20, unfiltered": (
        "vbfl-published",
        {"adversaries.0.count": 3, "validation.params.threshold": 1.0},
    ),
    "FedAvg, 0/20": ("fedavg", {}),
    "FedAvg, 3/20": ("fedavg", {"adversaries.0.count": 3}),
}
ROUNDS = (1, 5, 10, 20, 30, 40)
COUNTS = [
    "accepted_honest",
    "rejected_honest",
    "accepted_adversary",
    "rejected_adversary",
    "forked",
]


def interval(values: pd.Series) -> tuple[float, float]:
    """Return mean and half-width of the 95 % interval."""
    n = len(values)
    if n < 2:
        return float(values.mean()), float("nan")
    half = stats.t.ppf(0.975, n - 1) * values.std(ddof=1) / n**0.5
    return float(values.mean()), float(half)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--workers", type=int, default=None)
    parser.add_argument("--model", default="mnist_2nn")
    parser.add_argument("--out", default="results/vbfl_accuracy")
    args = parser.parse_args()

    common = {"rounds": args.rounds, "model.name": args.model, "data.dataset": "mnist-10k"}
    arms = {}
    for arm, (preset, change) in ARMS.items():
        settings = {**common, **change}
        arms[arm] = [
            load_scenario(preset, {**settings, "seed": seed}) for seed in range(args.seeds)
        ]
    everything = [scenario for scenarios in arms.values() for scenario in scenarios]
    outcomes = {}
    for outcome in run_many(everything, args.out, workers=args.workers, data=args.data):
        if isinstance(outcome, RunFailure):
            raise SystemExit(
                f"{outcome.name} seed {outcome.seed} failed in {outcome.stage}: {outcome.error}"
            )
        outcomes[outcome.run_id] = outcome

    report: dict[str, object] = {
        "seeds": args.seeds,
        "rounds": args.rounds,
        "model": args.model,
        "arms": {},
    }
    shown = [number for number in ROUNDS if number <= args.rounds]
    print(f"{'accuracy at round':40s}" + "".join(f"{number:>16d}" for number in shown))
    for arm, scenarios in arms.items():
        tables = [outcomes[scenario.run_id()].rounds for scenario in scenarios]
        accuracies = [table.set_index("round")["accuracy"] for table in tables]
        curves = pd.concat(accuracies, axis=1)
        cells = {number: interval(curves.loc[number]) for number in shown}
        print(f"{arm:40s}" + "".join(f"{mean:9.3f} ±{half:.3f}" for mean, half in cells.values()))
        totals = pd.concat(tables)[COUNTS].sum()
        report["arms"][arm] = {  # type: ignore[index]
            "accuracy_mean": {number: mean for number, (mean, _) in cells.items()},
            "accuracy_half_width_95": {number: half for number, (_, half) in cells.items()},
            **{name: int(total) for name, total in totals.items()},
        }
    print(json.dumps(report))


if __name__ == "__main__":
    main()
