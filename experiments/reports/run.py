"""The report of one run."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pandas as pd

from experiments.figures import run_figures
from experiments.figures.base import Sheet, canvas, setting, style
from experiments.figures.declared import declared_figures
from experiments.outcomes import of_run
from experiments.reports.drawing import Wanted, check_figures, draw_all
from experiments.reports.page import Gallery, Section, page
from experiments.rundir import RunResult, write_file


def report_run(run: RunResult, target: Path, command: list[str], want: Wanted) -> Path:
    """Write the figures and `report.html` of one run into a folder that is there.

    The figures that a protocol declares in the manifest come after those of the house.
    """
    shipped = run_figures()
    declared = declared_figures(run, {figure.name for figure in shipped})
    check_figures(want, [figure.name for figure in (*shipped, *declared)])
    figures = [*(figure for figure in shipped if run.has(figure.needs)), *declared]
    with style():
        gallery = draw_all(
            figures,
            lambda figure: figure.data(run),
            lambda figure, table: Sheet(canvas(figure, table, want.width)),
            target,
            want,
            command,
        )
    parts: list[Section | Gallery] = [
        *_tables(run),
        gallery,
        Section("Scenario", pre=(run.path / "scenario.toml").read_text()),
    ]
    name = str(setting(run.settings, "name") or run.run_id)
    write_file(target / "report.html", page(name, _subtitle(run), parts))
    return target / "report.html"


def _subtitle(run: RunResult) -> str:
    """Return the run's identity and size, as far as its scenario and tables have them."""
    parts = [f"run {run.run_id}"]
    seed, devices = setting(run.settings, "seed"), setting(run.settings, "devices")
    if seed is not None:
        parts.append(f"seed {seed}")
    if run.has({"rounds": ("round",)}):
        parts.append(f"{len(run.rounds)} rounds")
    if devices is not None:
        parts.append(f"{devices} devices")
    return " · ".join(parts)


def _tables(run: RunResult) -> list[Section]:
    unit = setting(run.settings, "payout.asset") or "base units"
    sections = [
        Section("Summary", summary(run), head=False),
        Section(f"Utility per device ({unit})", incomes(run)),
    ]
    return [s for s in sections if s.table is not None and not s.table.empty]


def summary(run: RunResult) -> pd.DataFrame:
    """Return a few numbers of a run, one row each: those whose columns the run recorded."""
    rows: list[tuple[str, str]] = []
    if run.has({"rounds": ("round",)}) and len(run.rounds):
        whose = _whose(run)
        for name, columns, value in SUMMARY:
            if set(columns) <= set(run.rounds.columns):
                rows.append((name.replace("adversaries", whose), value(run)))
    rows.append(("ran with less than asked for", _cut_down(run)))
    rows = [(name, text) for name, text in rows if text]
    for name, (_, value_text) in of_run(run).items():
        rows.append((name.replace("_", " "), value_text))
    return pd.DataFrame(rows, columns=["", "value"])


def _cut_down(run: RunResult) -> str:
    """Return which parameters were cut down, to what and how often; empty: none was."""
    if not run.has({"reduced": ("round", "rule", "parameter", "asked", "used")}):
        return ""
    parts = []
    groups = run.table("reduced").groupby(["rule", "parameter", "asked"], observed=True)
    for (rule, parameter, asked), rows in groups:
        used = " to ".join(f"{v}" for v in sorted({rows["used"].min(), rows["used"].max()}))
        rounds = f"{rows['round'].nunique()} of {len(run.rounds)} rounds"
        parts.append(f"{rule}: {parameter} = {used}, not {asked}, in {rounds}")
    return "; ".join(parts)


def _whose(run: RunResult) -> str:
    """Return what devices of the adversary groups are: those that choose may well be honest."""
    groups = setting(run.settings, "adversaries") or []
    strategic = [group for group in groups if group.get("strategies")]
    return "strategic devices" if groups and len(strategic) == len(groups) else "adversaries"


def _final_accuracy(run: RunResult) -> str:
    return f"{run.rounds['accuracy'].iloc[-1]:.3f}"


def _best_accuracy(run: RunResult) -> str:
    return f"{run.rounds['accuracy'].max():.3f}"


def _honest_rejected(run: RunResult) -> str:
    return _share(_total(run, "rejected_honest"), _total(run, "accepted_honest"))


def _adversaries_accepted(run: RunResult) -> str:
    return _share(_total(run, "accepted_adversary"), _total(run, "rejected_adversary"))


def _malformed(run: RunResult) -> str:
    """Return how many updates could never be aggregated, by behaviour; "" when all could."""
    people = run.participants
    counts = people[people["malformed"].fillna(False)]["strategy"].value_counts()
    return ", ".join(f"{n} (behaviour {name})" for name, n in counts.items() if n)


def _forked(run: RunResult) -> str:
    return f"{_total(run, 'forked')} of {len(run.rounds)}"


def _shut_out(run: RunResult) -> str:
    last = run.rounds["blocked"].iloc[-1]
    return "0" if pd.isna(last) else f"{int(last)}"


def _issued(run: RunResult) -> str:
    unit = setting(run.settings, "payout.asset") or "base units"
    return f"{_total(run, 'issued') - _total(run, 'burned'):,} {unit}"


def _simulated_time(run: RunResult) -> str:
    return f"{run.rounds['end_s'].iloc[-1]:,.0f} s"


def _total(run: RunResult, column: str) -> int:
    return int(run.rounds[column].sum())


def _share(part: int, others: int) -> str:
    """Return a share in words; "" of nothing: its row is left out."""
    whole = part + others
    return f"{part:,} of {whole:,} ({part / whole:.1%})" if whole else ""


SUMMARY: tuple[tuple[str, tuple[str, ...], Callable[[RunResult], str]], ...] = (
    ("final accuracy", ("accuracy",), _final_accuracy),
    ("best accuracy", ("accuracy",), _best_accuracy),
    ("honest updates rejected", ("accepted_honest", "rejected_honest"), _honest_rejected),
    (
        "adversaries' updates accepted",
        ("accepted_adversary", "rejected_adversary"),
        _adversaries_accepted,
    ),
    ("updates malformed", ("malformed",), _malformed),
    ("rounds forked", ("forked",), _forked),
    ("devices blocked at the end", ("blocked",), _shut_out),
    ("net issuance", ("issued", "burned"), _issued),
    ("simulated time", ("end_s",), _simulated_time),
)
"""The rows of a summary: name, the columns of `rounds` that it reads, its value as text."""


def incomes(run: RunResult) -> pd.DataFrame:
    """Return the utility per device over the whole run by group, in base units.

    Stakes lost, costs and benefits are included. Empty for a run without utilities or groups.
    """
    if not run.has({"participants": ("group", "device", "utility")}):
        return pd.DataFrame()
    people = run.participants
    total = people.groupby(["group", "device"], observed=True)["utility"].sum()
    table = total.groupby("group", observed=True).agg(["count", "mean", "min", "max"])
    table = table.astype({"mean": float, "min": float, "max": float}).reset_index()
    return table.rename(columns={"count": "devices"})
