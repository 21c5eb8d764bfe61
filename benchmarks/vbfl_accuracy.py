"""Accuracy per round on real digits: VBFL as published and FedAvg, attacked and not.

    python benchmarks/vbfl_accuracy.py --data DIR [--seeds 5] [--rounds 40] [--workers 4]
                                       [--arm "FedAvg, 0/20" ...] [--against KEY=VALUE]
                                       [--out results/vbfl_accuracy]

DIR holds mnist/t10k-*-ubyte.gz. Prints mean and 95 % interval (Student's t over seeds) at rounds 5,
10, 20, 30, 40, and one JSON object as its last line. With `--against data.shard_order=file`, say,
every arm is played again with that one key changed, and what the change adds is printed too, paired
by seed.
"""

from __future__ import annotations

import argparse
import json

import pandas as pd
from scipy import stats

from experiments import load_scenario, run_many
from experiments.loader import parse_override
from experiments.many import RunFailure
from sim.scenario import Scenario

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


def play(arms: dict[str, list[Scenario]], args: argparse.Namespace) -> dict[str, pd.DataFrame]:
    """Return the rounds of all runs of each arm, one after the other, with a column `seed`."""
    everything = [scenario for scenarios in arms.values() for scenario in scenarios]
    played = {}
    for outcome in run_many(everything, args.out, workers=args.workers, data=args.data):
        if isinstance(outcome, RunFailure):
            raise SystemExit(
                f"{outcome.name} seed {outcome.seed} failed in {outcome.stage}: {outcome.error}"
            )
        played[outcome.run_id] = outcome.rounds
    tables = {}
    for arm, scenarios in arms.items():
        runs = [played[s.run_id(args.data)].assign(seed=s.seed) for s in scenarios]
        tables[arm] = pd.concat(runs)
    return tables


def line(name: str, curves: pd.DataFrame, shown: list[int]) -> dict[str, dict[int, float]]:
    """Print mean and interval over the columns (seeds) at some rounds (rows); return them."""
    cells = {number: interval(curves.loc[number]) for number in shown}
    print(f"{name:64s}" + "".join(f"{mean:9.3f} ±{half:.3f}" for mean, half in cells.values()))
    return {
        "accuracy_mean": {number: mean for number, (mean, _) in cells.items()},
        "accuracy_half_width_95": {number: half for number, (_, half) in cells.items()},
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--workers", type=int, default=None)
    parser.add_argument("--model", default="mnist_2nn")
    parser.add_argument("--arm", action="append", choices=list(ARMS), metavar="ARM")
    parser.add_argument("--against", metavar="KEY=VALUE")
    parser.add_argument("--out", default="results/vbfl_accuracy")
    args = parser.parse_args()

    common = {"rounds": args.rounds, "model.name": args.model, "data.dataset": "mnist-10k"}
    changed = {}
    if args.against:
        changed = dict([parse_override(args.against)])
    arms = {}
    for arm in args.arm or ARMS:
        preset, change = ARMS[arm]
        settings = {**common, **change}
        seeds = [{"seed": seed} for seed in range(args.seeds)]
        arms[arm] = [load_scenario(preset, {**settings, **seed}) for seed in seeds]
        if changed:
            switched = {**settings, **changed}
            other = [load_scenario(preset, {**switched, **seed}) for seed in seeds]
            arms[f"{arm}, {args.against}"] = other
    tables = play(arms, args)

    report: dict[str, object] = {
        "seeds": args.seeds,
        "rounds": args.rounds,
        "model": args.model,
        "against": args.against,
        "arms": {},
    }
    shown = [number for number in ROUNDS if number <= args.rounds]
    print(f"{'accuracy at round':64s}" + "".join(f"{number:>16d}" for number in shown))
    curves = {}
    for arm, table in tables.items():
        curves[arm] = table.pivot_table(index="round", columns="seed", values="accuracy")
        counts = [name for name in COUNTS if name in table]
        totals = {name: int(total) for name, total in table[counts].sum().items()}
        report["arms"][arm] = line(arm, curves[arm], shown) | totals  # type: ignore[index]
    for arm in args.arm or ARMS:
        if changed:
            other = f"{arm}, {args.against}"
            name = f"{other}: difference"
            difference = curves[other] - curves[arm]
            report["arms"][name] = line(name, difference, shown)  # type: ignore[index]
    print(json.dumps(report))


if __name__ == "__main__":
    main()
