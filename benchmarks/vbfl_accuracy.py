"""Accuracy per round on real digits: VBFL as published and vanilla FedAvg, with and without malicious devices.

    python benchmarks/vbfl_accuracy.py --data DIR [--seeds 5] [--rounds 40] [--workers 4] [--out results/vbfl_accuracy]

DIR holds mnist/t10k-*-ubyte.gz. Prints mean and 95 % interval (Student's t over seeds) at rounds 5, 10, 20, 30, 40, and one
JSON object as its last line.
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
AT = (1, 5, 10, 20, 30, 40)


def interval(values: pd.Series) -> tuple[float, float]:
    """Mean and half-width of the 95 % interval."""
    half = (
        stats.t.ppf(0.975, len(values) - 1) * values.std(ddof=1) / len(values) ** 0.5
        if len(values) > 1
        else float("nan")
    )
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
    arms = {
        arm: [
            load_scenario(preset, {**common, **change, "seed": seed}) for seed in range(args.seeds)
        ]
        for arm, (preset, change) in ARMS.items()
    }
    everything = [s for scenarios in arms.values() for s in scenarios]
    outcomes = {
        o.run_id: o for o in run_many(everything, args.out, workers=args.workers, data=args.data)
    }
    for failure in (o for o in outcomes.values() if isinstance(o, RunFailure)):
        raise SystemExit(
            f"{failure.name} seed {failure.seed} failed in {failure.stage}: {failure.error}"
        )

    report: dict[str, object] = {
        "seeds": args.seeds,
        "rounds": args.rounds,
        "model": args.model,
        "arms": {},
    }
    print(f"{'accuracy at round':40s}" + "".join(f"{r:>16d}" for r in AT if r <= args.rounds))
    for arm, scenarios in arms.items():
        runs = [outcomes[s.run_id()] for s in scenarios]
        curves = pd.DataFrame(
            {i: r.rounds.set_index("round")["accuracy"] for i, r in enumerate(runs)}
        )  # type: ignore[union-attr]
        cells = {r: interval(curves.loc[r]) for r in AT if r <= args.rounds}
        print(f"{arm:40s}" + "".join(f"{m:9.3f} ±{h:.3f}" for m, h in cells.values()))
        totals = pd.concat([r.rounds for r in runs])[
            [
                "accepted_honest",
                "rejected_honest",
                "accepted_adversary",
                "rejected_adversary",
                "forked",
            ]
        ].sum()  # type: ignore[union-attr]
        report["arms"][arm] = {  # type: ignore[index]
            "accuracy_mean": {r: m for r, (m, _) in cells.items()},
            "accuracy_half_width_95": {r: h for r, (_, h) in cells.items()},
            **{k: int(v) for k, v in totals.items()},
        }
    print(json.dumps(report))


if __name__ == "__main__":
    main()
