"""The demo: mechanisms under attack on real digits, their scorecard, the winner, the report."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from experiments.numerals import how_many, number, with_interval
from experiments.orderings import place_of
from experiments.reports import report
from experiments.results import Results
from experiments.rundir import RunError
from experiments.scorecard.winner import Verdict, compare
from experiments.sweeps.drive import OnReceipt, Sweep
from experiments.sweeps.plan import load_spec

SWEEP = Path(__file__).parent / "sweeps" / "demo.toml"


class Attacked(NamedTuple):
    """A mechanism under the attack under which it fares worst: its first run there."""

    attack: str
    path: Path


@dataclass(frozen=True)
class Outcome:
    """What the demo found and where it is.

    Args:
        table: one row per mechanism.
        ranking: by the stated objective.
        title: what the ranking is by.
        reading: the result in a sentence or two.
        page: the report.
        winner: scenario file of the winner; None when nobody wins.
        example: a run directory.
        name: of the winner; "" when nobody wins.
        worst: by mechanism, from the best, its run under its worst attack; none when nobody wins.
    """

    table: pd.DataFrame
    ranking: pd.DataFrame
    title: str
    reading: str
    page: Path
    winner: Path | None
    example: Path
    name: str
    worst: dict[str, Attacked]


def prepare(out: Path, seeds: int) -> Sweep:
    """Return the shipped sweep with so many seeds per cell."""
    return Sweep(load_spec(SWEEP).model_copy(update={"seeds": seeds}), out)


def play(
    demo: Sweep, *, workers: int | None = None, on_receipt: OnReceipt | None = None
) -> Outcome:
    """Run the missing runs, score, rank and report; `RunError` when a run failed."""
    demo.play(workers=workers, on_receipt=on_receipt)
    results = Results.open(demo.folder)
    failures = results.failures()
    if len(failures):
        first = failures.iloc[0]
        raise RunError(
            f"{demo.folder}: {how_many(len(failures), 'run')} failed, "
            f"the first in {first['stage']}: {first['error']}"
        )
    verdict = compare(results)
    first_run = results.runs()["run_id"].iloc[0]
    return Outcome(
        table=_table(verdict),
        ranking=verdict.ranking,
        title=verdict.title,
        reading=_reading(verdict),
        page=report(results),
        winner=demo.folder / "winner.toml" if verdict.winner else None,
        example=results.run(first_run).path,
        name=str(verdict.winner or ""),
        worst=_under_attack(results, verdict),
    )


def _under_attack(results: Results, verdict: Verdict) -> dict[str, Attacked]:
    """Return by mechanism, from the best, its run under its worst attack; none without a winner."""
    if verdict.winner is None:
        return {}
    names = verdict.ranking["mechanism"].tolist()
    found = {str(name): _worst(results, verdict, name) for name in names}
    return {name: worst for name, worst in found.items() if worst is not None}


def _worst(results: Results, verdict: Verdict, mechanism: str) -> Attacked | None:
    """Return the attack that gains most against a mechanism, and its first run under it.

    None when no attack has a known advantage.
    """
    cells = verdict.table[verdict.table["mechanism"] == mechanism]
    worst = place_of("max", cells["advantage"])
    if worst is None:
        return None
    attack = str(cells["attack"].iloc[worst])
    runs = results.runs()
    attacked = runs[(runs["mechanism"] == mechanism) & (runs["attack"] == attack)]
    return Attacked(attack, results.run(attacked["run_id"].iloc[0]).path)


def _table(verdict: Verdict) -> pd.DataFrame:
    """Return one row per mechanism: accuracy and utility without and under attack, gains."""
    peaceful = verdict.table[verdict.table["attack"] == "nobody"].set_index("mechanism")
    cells = verdict.table.groupby("mechanism", sort=False)
    columns = {
        "accuracy": peaceful["accuracy"],
        "worst accuracy": cells["accuracy"].min(),
        "honest utility": peaceful["honest_utility"],
        "attackers' advantage, at most": cells["advantage"].max(),
        "an idler gains": with_interval(peaceful, "ic_gap"),
        "two sybils gain": with_interval(peaceful, "sybil_gain_2"),
    }
    return pd.DataFrame(columns, index=peaceful.index).reset_index()


def _reading(verdict: Verdict) -> str:
    """Return the result in a sentence or two."""
    table = _table(verdict).set_index("mechanism")
    fedavg, vbfl = table.loc["FedAvg, unpaid"], table.loc["VBFL"]
    attacked = (
        "Under the worst of these attacks "
        f"FedAvg falls from {fedavg['accuracy']:.2f} to {fedavg['worst accuracy']:.2f}, "
        f"VBFL from {vbfl['accuracy']:.2f} to {vbfl['worst accuracy']:.2f}."
    )
    if verdict.winner is None:
        return f"{attacked} No winner: {verdict.reason}."
    gap = verdict.ranking.set_index("mechanism")["advantage"][verdict.winner]
    relation = "less" if gap < 0 else "more"
    return (
        f"{attacked} Winner: {verdict.winner}{verdict.note}: in the worst attack, attackers earn "
        f"{number(abs(gap), 0)} {relation} per device than honest devices (base units, same runs)."
    )
