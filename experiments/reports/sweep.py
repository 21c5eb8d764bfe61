"""The report of a sweep."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import tomli_w

from experiments.figures import sweep_figures
from experiments.figures.base import style
from experiments.figures.factors import ordered
from experiments.numerals import with_interval
from experiments.reports.page import Section, page, save
from experiments.results import Results
from experiments.rundir import RunError, write_file
from experiments.scorecard.winner import compare
from experiments.sweeps.plan import Spec

ROWS = 400
"""Rows of a table on the page; the CSV has all."""
SCORECARD, WINNER = "scorecard.csv", "winner.toml"
OUTCOMES = {
    "accuracy": "accuracy",
    "honest_utility": "utility, honest",
    "adversary_utility": "utility, adversary",
}


def report_sweep(
    results: Results,
    target: Path,
    command: list[str],
    on_figure: Callable[[int], None] | None = None,
) -> Path:
    """Figures, tables and `report.html` of a sweep in a folder that is there. Figures that make no sense for it are left out."""
    panels = []
    with style():
        for i, figure in enumerate(sweep_figures()):
            table = figure.data(results) if results.has(figure.needs) else pd.DataFrame()
            if not table.empty:
                sheet = figure.draw(table)
                caption = " ".join([figure.caption, *table.attrs.get("notes", []), *sheet.notes])
                panels.append(
                    save(
                        sheet.canvas,
                        table,
                        target,
                        figure.name,
                        figure.title,
                        caption,
                        shlex.join(command),
                    )
                )
            if on_figure:
                on_figure(i + 1)
    runs = results.runs()
    count = runs["status"].value_counts()
    seeds = sorted(runs["seed"].unique())
    told = [
        f"{len(runs):,} runs: {', '.join(f'{count.get(s, 0):,} {s}' for s in ('done', 'failed', 'missing'))}",
        f"{runs['cell'].nunique():,} cells",
        f"{len(seeds)} {'seed' if len(seeds) == 1 else 'seeds'} ({_range(seeds)})",
        f"from {Path(results.spec.get('scenario', Spec().scenario)).name}",
    ]
    before = [
        *_scorecard(results),
        Section("Factors", factors(results)),
        *_failures(results, target),
    ]
    after = [
        *_outcomes(results, target),
        Section("Versions", versions(results)),
        Section("Sweep", pre=tomli_w.dumps(_shown(results))),
    ]
    write_file(target / "report.html", page(results.name, " · ".join(told), before, panels, after))
    return target / "report.html"


def factors(results: Results) -> pd.DataFrame:
    """One row per factor: how it is varied, and its levels."""
    plan = results.runs()
    kinds = {
        name: block.get("kind", "grid")
        for block in results.spec.get("design", [])
        for name in block["factors"]
    }
    rows = []
    for name in results.factors:
        levels = ordered(results, plan)[name].cat.categories
        few = len(levels) <= 12
        told = (
            ", ".join(_plain(v) for v in levels)
            if few
            else f"{_plain(levels[0])} to {_plain(levels[-1])}"
        )
        rows.append((name, kinds[name], len(levels), told))
    return pd.DataFrame(rows, columns=["factor", "design", "levels", "which"])


def versions(results: Results) -> pd.DataFrame:
    """What the sweep was planned with."""
    told = [(name, version) for name, version in results.versions.items() if version]
    return pd.DataFrame(told, columns=["package", "version"])


def _scorecard(results: Results) -> list[Section]:
    """Scored anew where the sweep's file says how, so that it is never that of other runs."""
    sections, folder = [], results.folder
    if results.spec.get("scorecard"):
        try:
            compare(results)
        except RunError as error:
            return [Section("Scorecard", note=str(error))]
    if (folder / SCORECARD).is_file():
        sections.append(Section("Scorecard", pd.read_csv(folder / SCORECARD)))
    if (folder / WINNER).is_file():
        told = [
            line[2:]
            for line in (folder / WINNER).read_text(encoding="utf-8").splitlines()
            if line.startswith("# ")
        ]
        evidence = "\n".join(
            line for line in told if "{" not in line
        )  # its rows of the scorecard are in the table above
        sections.append(Section("Winner", pre=evidence))
    return sections


def _failures(results: Results, target: Path) -> list[Section]:
    failed = results.failures()
    if failed.empty:
        (target / "failures.csv").unlink(missing_ok=True)
        return []
    write_file(target / "failures.csv", failed.to_csv(index=False))
    shown = failed[["seed", *results.factors, "stage", "error"]]
    return [
        Section(
            "Failures",
            shown.head(ROWS),
            note=_of(len(shown), "failures.csv") + " Tracebacks are there.",
        )
    ]


def _outcomes(results: Results, target: Path) -> list[Section]:
    outcomes = results.outcomes()
    if outcomes.empty:
        return [Section("Outcomes", note="No run is done yet.")]
    recorded = [column for column in OUTCOMES if column in outcomes]
    summary = results.summary(of=recorded)
    write_file(target / "outcomes.csv", summary.to_csv(index=False))
    shown = summary[[*results.factors, "runs"]].copy()
    for column, name in OUTCOMES.items():
        if column in summary and summary[column].notna().any():
            shown[name] = with_interval(summary, column)
    note = "Means over the seeds of each cell with their 95 % bootstrap intervals; utility in base units per device and run."
    return [Section("Outcomes", shown.head(ROWS), note=f"{note} {_of(len(shown), 'outcomes.csv')}")]


def _shown(results: Results) -> dict[str, object]:
    return {k: v for k, v in results.spec.items() if v not in ({}, [])}


def _of(rows: int, file: str) -> str:
    return (
        f"The first {ROWS} of {rows:,} rows; {file} has all." if rows > ROWS else f"Data: {file}."
    )


def _range(seeds: list[int]) -> str:
    whole = len(seeds) > 2 and seeds[-1] - seeds[0] == len(seeds) - 1
    return (
        f"{seeds[0]} to {seeds[-1]}"
        if whole
        else ", ".join(str(s) for s in seeds[:10]) + (" …" if len(seeds) > 10 else "")
    )


def _plain(level: object) -> str:
    return f"{level:.3g}" if isinstance(level, float) else str(level)
