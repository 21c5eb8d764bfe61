"""CPU seconds of a run that records a tape, and of replaying every payout rule on that tape.

    python benchmarks/offpolicy.py [--preset digits-quick] [--data DIR] [--rounds N]
                                   [--utility-samples N] [--repeat 5]

`--preset vbfl --data DIR` needs DIR/mnist/t10k-*-ubyte.gz. One round is played and compared first,
so that imports and loading of the data set do not count; then runs and comparisons alternate. Both
count from opening files to closing them: the run with writing its tables, the comparison with
reading the tape. Last line: one JSON object, medians over the repeats.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from pathlib import Path

import pandas as pd

from experiments import load_scenario, open_run, run
from experiments.offpolicy import by_mechanism, compare_payouts
from sim.scenario import Scenario
from sim.threads import single_threaded


def measure(
    scenario: Scenario, folder: Path, data: str | None
) -> tuple[float, float, pd.DataFrame]:
    """Return CPU seconds of the run and of the comparison, and its table by mechanism."""
    began = time.process_time()
    path = run(scenario, folder, data=data, force=True).path
    played = time.process_time()
    table = by_mechanism(compare_payouts(open_run(path)))
    return played - began, time.process_time() - played, table


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--preset", default="digits-quick")
    parser.add_argument("--data")
    parser.add_argument("--rounds", type=int, help="rounds of the run [default: the preset's]")
    parser.add_argument(
        "--utility-samples",
        type=int,
        help="held-out samples of utility, 0 all [default: the preset's]",
    )
    parser.add_argument("--repeat", type=int, default=5)
    args = parser.parse_args()
    single_threaded()

    changes: dict[str, object] = {"record.tape": True}
    if args.utility_samples is not None:
        changes["payout.utility_samples"] = args.utility_samples
    if args.rounds is not None:
        changes["rounds"] = args.rounds
    scenario = load_scenario(args.preset, changes)
    runs, comparisons, by_rule = [], [], []
    with tempfile.TemporaryDirectory() as folder:
        first = load_scenario(args.preset, changes | {"rounds": 1})
        measure(first, Path(folder) / "warm", args.data)
        for i in range(args.repeat):
            played, compared, table = measure(scenario, Path(folder) / "run", args.data)
            runs.append(played)
            comparisons.append(compared)
            by_rule.append(table.set_index("mechanism")["cpu_s"])
            print(
                f"repeat {i + 1}: run {played:.3f} s, comparison {compared:.3f} s, "
                f"ratio {compared / played:.3f}",
                flush=True,
            )
        tape_mb = (Path(folder) / "run" / "tape.parquet").stat().st_size / 2**20
    failed = table[table["error"].notna()]["mechanism"].tolist()
    ratios = [compared / played for compared, played in zip(comparisons, runs, strict=True)]
    report = {
        "preset": args.preset,
        "rounds": scenario.rounds,
        "utility_samples": scenario.payout.utility_samples,
        "rules": len(table),
        "rules_failed": failed,
        "run_cpu_s": statistics.median(runs),
        "comparison_cpu_s": statistics.median(comparisons),
        "comparison_over_run_ratio": statistics.median(ratios),
        "tape_mb": tape_mb,
        "rule_cpu_s": pd.concat(by_rule, axis=1).median(axis=1).to_dict(),
    }
    print(json.dumps(report))


if __name__ == "__main__":
    main()
