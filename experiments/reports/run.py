"""The report of one run."""

from __future__ import annotations

import shlex
from pathlib import Path

import pandas as pd

from experiments.figures import FIGURES
from experiments.figures.base import canvas, style
from experiments.reports.page import Section, page, save
from experiments.rundir import RunResult, write_file


def report_run(run: RunResult, target: Path, command: list[str]) -> Path:
    """Figures and `report.html` of one run in a folder that is there."""
    panels = []
    with style():
        for figure in FIGURES:
            table = figure.data(run)
            if table.empty:
                continue
            sheet = canvas(figure, table)
            panels.append(
                save(
                    sheet,
                    table,
                    target,
                    figure.name,
                    figure.title,
                    figure.caption,
                    shlex.join(command),
                )
            )
    text = page(
        run.settings["name"],
        f"run {run.run_id} · seed {run.settings['seed']} · {len(run.rounds)} rounds · {run.settings['devices']} devices",
        [Section("Summary", summary(run)), Section("Utility by group", incomes(run))],
        panels,
        [Section("Scenario", pre=(run.path / "scenario.toml").read_text())],
    )
    write_file(target / "report.html", text)
    return target / "report.html"


def summary(run: RunResult) -> pd.DataFrame:
    """A few numbers of a run, one row each."""
    r = run.rounds
    total = {
        c: int(r[c].sum())
        for c in ("accepted_honest", "rejected_honest", "accepted_adversary", "rejected_adversary")
    }

    def share(part: str, whole: int) -> str:
        return (
            f"{total[part]:,} of {whole:,} ({total[part] / whole:.1%})"
            if whole
            else "none in any block"
        )

    honest = total["accepted_honest"] + total["rejected_honest"]
    bad = total["accepted_adversary"] + total["rejected_adversary"]
    rows = [
        ("final accuracy", f"{r['accuracy'].iloc[-1]:.3f}"),
        ("best accuracy", f"{r['accuracy'].max():.3f}"),
        ("honest updates rejected", share("rejected_honest", honest)),
        ("adversaries' updates accepted", share("accepted_adversary", bad)),
        ("rounds forked", f"{int(r['forked'].sum())} of {len(r)}"),
        ("devices shut out at the end", f"{int(r['blocked'].iloc[-1])}"),
        (
            "issued, less what was burned",
            f"{int(r['issued'].sum() - r['burned'].sum()):,} {run.settings['payout']['asset']}",
        ),
        ("simulated time", f"{r['end_s'].iloc[-1]:,.0f} s"),
    ]
    return pd.DataFrame(rows, columns=["", "value"])


def incomes(run: RunResult) -> pd.DataFrame:
    """Utility per device over the whole run by group, in base units: stakes lost, costs and benefits included."""
    total = (
        run.participants.groupby(["group", "device"], observed=True)["utility"]
        .sum()
        .groupby("group", observed=True)
    )
    table = (
        total.agg(["count", "mean", "min", "max"])
        .astype({"mean": float, "min": float, "max": float})
        .reset_index()
    )
    return table.rename(
        columns={
            "count": "devices",
            "mean": "mean utility per device",
            "min": "lowest",
            "max": "highest",
        }
    )
