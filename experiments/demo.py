"""`fedstake demo`: mechanisms under attack on real digits, the scorecard, the winner and its run to replay, the report."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from experiments.numerals import number, with_interval
from experiments.reports import report
from experiments.results import Results
from experiments.rundir import RunError
from experiments.scorecard.winner import Verdict, compare
from experiments.sweeps.drive import OnReceipt, Sweep
from experiments.sweeps.plan import load_spec

SWEEP = Path(__file__).parent / "sweeps" / "demo.toml"


@dataclass(frozen=True)
class Outcome:
    """What the demo found and where it is; `example` is one run's directory.

    `worst`: under which attack the winner fares worst, and its first run there; None when nobody wins.
    """

    table: pd.DataFrame
    ranking: pd.DataFrame
    reading: str
    page: Path
    winner: Path | None
    example: Path
    worst: tuple[str, Path] | None


def prepare(out: Path, seeds: int) -> Sweep:
    """The shipped sweep with so many seeds per cell."""
    return Sweep(load_spec(SWEEP).model_copy(update={"seeds": seeds}), out)


def play(
    demo: Sweep, *, workers: int | None = None, on_receipt: OnReceipt | None = None
) -> Outcome:
    """Run what is not there yet, score, rank, report. Raises `RunError` when a run failed."""
    demo.play(workers=workers, on_receipt=on_receipt)
    results = Results.open(demo.folder)
    failures = results.failures()
    if len(failures):
        first = failures.iloc[0]
        raise RunError(
            f"{demo.folder}: {len(failures)} runs failed, the first in {first['stage']}: {first['error']}"
        )
    verdict = compare(results)
    page = report(results)
    run_id = results.runs()["run_id"].iloc[0]
    winner = demo.folder / "winner.toml" if verdict.winner else None
    example = results.run(run_id).path
    return Outcome(
        _table(verdict),
        verdict.ranking,
        _reading(verdict),
        page,
        winner,
        example,
        _worst(results, verdict),
    )


def _worst(results: Results, verdict: Verdict) -> tuple[str, Path] | None:
    """The winner's first run under the attack that gains most against honest devices."""
    if verdict.winner is None:
        return None
    mine = verdict.table[verdict.table["mechanism"] == verdict.winner]
    attack = str(mine.sort_values("advantage", kind="stable")["attack"].iloc[-1])
    runs = results.runs()
    found = runs[(runs["mechanism"] == verdict.winner) & (runs["attack"] == attack)]
    return attack, results.run(found["run_id"].iloc[0]).path


def _table(verdict: Verdict) -> pd.DataFrame:
    """Per mechanism: accuracy in peace and at the worst, what honest devices and attackers have, what deviating gains."""
    calm = verdict.table[verdict.table["attack"] == "nobody"].set_index("mechanism")
    cells = verdict.table.groupby("mechanism", sort=False)
    told = {
        "accuracy": calm["accuracy"],
        "worst accuracy": cells["accuracy"].min(),
        "honest utility": calm["honest_utility"],
        "attackers' advantage, at most": cells["advantage"].max(),
        "an idler gains": with_interval(calm, "ic_gap"),
        "two sybils gain": with_interval(calm, "sybil_gain_2"),
    }
    return pd.DataFrame(told, index=calm.index).reset_index()


def _reading(verdict: Verdict) -> str:
    table = _table(verdict).set_index("mechanism")
    unfiltered, filtered = table.loc["FedAvg, unpaid"], table.loc["VBFL"]
    told = (
        f"Under the worst of these attacks FedAvg falls from {unfiltered['accuracy']:.2f} to {unfiltered['worst accuracy']:.2f}, "
        f"VBFL from {filtered['accuracy']:.2f} to {filtered['worst accuracy']:.2f}. "
    )
    if verdict.winner is None:
        return told + "No mechanism keeps all bounds of the objective."
    gap = verdict.ranking.set_index("mechanism")["advantage"][verdict.winner]
    return told + (
        f"Winner: {verdict.winner}{verdict.note}: at the worst attackers have {number(abs(gap), 0)} base units "
        f"{'less' if gap < 0 else 'more'} than honest devices of the same runs."
    )
