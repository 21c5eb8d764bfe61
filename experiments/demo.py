"""`fedstake demo`: VBFL against vanilla federated averaging on real digits, with 0 and 3 of 20 malicious devices."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas
from scipy import stats

from experiments.figures.base import ADVERSARY, HONEST, direct_label, style
from experiments.loader import dumps, load_scenario
from experiments.reports.page import Section, page, save
from experiments.rundir import RunResult, write_file
from experiments.runner import RunFailure, run_many
from sim.scenario import Scenario

ROUNDS = 30
# Validators' samples stay held out, so that both protocols train on the very same ones.
FEDAVG: dict[str, Any] = {"protocol": "fedavg", "payout.mechanism": "none", "aggregation.params": {"weighted": True}}
ARMS: dict[tuple[str, int], dict[str, Any]] = {
    ("VBFL", 0): {"adversaries.0.count": 0},
    ("VBFL", 3): {"adversaries.0.count": 3},
    ("FedAvg", 0): {**FEDAVG, "adversaries.0.count": 0},
    ("FedAvg", 3): {**FEDAVG, "adversaries.0.count": 3},
}


@dataclass(frozen=True)
class Outcome:
    """What the demo found and where it is."""

    table: pd.DataFrame
    reading: str
    figure: Path
    page: Path
    example: Path


def play(out: Path, *, seeds: int, workers: int, on_done: Callable[[Any], None] | None = None) -> Outcome:
    """Run all arms, draw the comparison, write the report."""
    arms = {arm: [_scenario(arm, change, seed) for seed in range(seeds)] for arm, change in ARMS.items()}
    outcomes = run_many([s for group in arms.values() for s in group], out / "runs", workers=workers, on_done=on_done)
    for failed in outcomes:
        if isinstance(failed, RunFailure):
            raise RuntimeError(f"{failed.name} seed {failed.seed} failed in {failed.stage}: {failed.error}")
    found = {o.run_id: o for o in outcomes if isinstance(o, RunResult)}
    runs = {arm: [found[s.run_id()] for s in group] for arm, group in arms.items()}
    table = _table(runs)
    reading = _reading(runs)
    folder = out / "comparison"
    folder.mkdir(parents=True, exist_ok=True)
    with style():
        curves = _curves(runs)
        sheet = Canvas(figsize=(9.5, 3.8), layout="constrained")
        _draw(curves, sheet.subplots(1, 2, sharey=True))
        caption = f"Accuracy of the global model on the test set: mean of {seeds} seeds, band from lowest to highest."
        panel = save(sheet, curves, folder, "accuracy-by-arm", "Accuracy per round", caption, f"fedstake demo --seeds {seeds}")
        text = page(
            "VBFL and vanilla federated averaging under attack",
            f"{reading} {seeds} seeds, {ROUNDS} rounds, 20 devices, scikit-learn digits.",
            [Section("Result", table)],
            [panel],
            [Section("Scenario of VBFL 3/20, seed 0", pre=dumps(arms["VBFL", 3][0]))],
        )
        write_file(folder / "report.html", text)
    return Outcome(table, reading, folder / "accuracy-by-arm.png", folder / "report.html", runs["VBFL", 3][0].path)


def _scenario(arm: tuple[str, int], change: dict[str, Any], seed: int) -> Scenario:
    protocol, malicious = arm
    name = f"demo-{protocol.lower()}-{malicious}of20"
    return load_scenario("digits-quick", {**change, "name": name, "rounds": ROUNDS, "seed": seed})


def _interval(values: list[float]) -> str:
    mean = float(np.mean(values))
    if len(values) < 2:
        return f"{mean:.3f}"
    half = stats.t.ppf(0.975, len(values) - 1) * np.std(values, ddof=1) / len(values) ** 0.5
    return f"{mean:.3f} ± {half:.3f}"


def _table(runs: dict[tuple[str, int], list[RunResult]]) -> pd.DataFrame:
    rows = []
    for (protocol, malicious), group in runs.items():
        total = pd.concat([r.rounds for r in group]).sum(numeric_only=True)
        people = pd.concat([r.participants for r in group])
        income = people.groupby("adversary")["income"].sum()
        heads = {bad: len(group) * (malicious if bad else 20 - malicious) for bad in (False, True)}
        paid = int(total["issued"]) > 0
        per_device = {bad: f"{income.get(bad, 0) / n:,.0f}" if n and paid else "–" for bad, n in heads.items()}
        bad = int(total["accepted_adversary"] + total["rejected_adversary"])
        honest = int(total["accepted_honest"] + total["rejected_honest"])
        rows.append(
            {
                "arm": f"{protocol} {malicious}/20",
                f"accuracy @{ROUNDS}": _interval([_final(r) for r in group]),
                "bad accepted": f"{total['accepted_adversary'] / bad:.0%}" if bad else "–",
                "good rejected": f"{total['rejected_honest'] / honest:.0%}" if honest else "–",
                "honest income": per_device[False],
                "malicious income": per_device[True],
            }
        )
    return pd.DataFrame(rows)


def _final(run: RunResult) -> float:
    return float(run.rounds["accuracy"].iloc[-1])


def _reading(runs: dict[tuple[str, int], list[RunResult]]) -> str:
    told = []
    for p in ("VBFL", "FedAvg"):
        pairs = zip(runs[p, 0], runs[p, 3], strict=True)  # by seed: the same draws but for the attackers
        told.append(f"{p} loses {_interval([_final(a) - _final(b) for a, b in pairs])}")
    return f"With 3 malicious devices of 20, {told[0]} of accuracy and {told[1]} (paired by seed)."


def _curves(runs: dict[tuple[str, int], list[RunResult]]) -> pd.DataFrame:
    parts = [
        r.rounds[["round", "accuracy"]].assign(protocol=protocol, malicious=malicious, seed=r.scenario.seed)
        for (protocol, malicious), group in runs.items()
        for r in group
    ]
    return pd.concat(parts, ignore_index=True)


def _draw(curves: pd.DataFrame, panels: Any) -> None:
    for axes, malicious in zip(panels, sorted(curves["malicious"].unique()), strict=True):
        _draw_panel(curves[curves["malicious"] == malicious], axes)
        axes.set_title(f"{malicious} of 20 devices malicious", loc="left", fontsize=11, fontweight="bold")
    panels[0].set_ylabel("test accuracy")


def _draw_panel(curves: pd.DataFrame, axes: Axes) -> None:
    ends: dict[str, float] = {}
    for protocol, color in (("VBFL", HONEST), ("FedAvg", ADVERSARY)):
        by_round = curves[curves["protocol"] == protocol].groupby("round")["accuracy"]
        mean, low, high = by_round.mean(), by_round.min(), by_round.max()
        x = mean.index.astype(int)
        axes.fill_between(x, low, high, color=color, alpha=0.15, linewidth=0)
        axes.plot(x, mean, color=color)
        ends[protocol] = float(mean.iloc[-1])
    # Labels that would touch are pushed apart.
    gap = 0.06 - abs(ends["VBFL"] - ends["FedAvg"])
    shift = max(0.0, gap) / 2 * (1 if ends["VBFL"] >= ends["FedAvg"] else -1)
    direct_label(axes, x[-1], ends["VBFL"] + shift, "VBFL", HONEST)
    direct_label(axes, x[-1], ends["FedAvg"] - shift, "FedAvg", ADVERSARY)
    axes.set(xlabel="round", ylim=(0, 1), xlim=(1, x[-1]))
