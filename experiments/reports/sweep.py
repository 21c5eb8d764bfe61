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
from experiments.intervals import in_words
from experiments.numerals import how_many, rounded, with_interval
from experiments.reports.page import Section, page, save
from experiments.results import Results
from experiments.rundir import RunError, write_file
from experiments.scorecard.showing import compatibility, gains_in_words
from experiments.scorecard.winner import SCORECARD, WINNER, Verdict, compare, evidence
from experiments.spreadsheet import csv_frame, csv_text
from experiments.sweeps.plan import Spec

ROWS = 400
"""Rows of a table on the page; the CSV has all."""
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
    """Write the figures, tables and `report.html` of a sweep into a folder that is there.

    Figures that it has no data for are left out.
    """
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
                        name=figure.name,
                        title=figure.title,
                        caption=caption,
                        command=shlex.join(command),
                    )
                )
            if on_figure:
                on_figure(i + 1)
    before = [
        *_scorecard(results, target),
        Section("Factors", factors(results)),
        *_failures(results, target),
    ]
    after = [
        *_outcomes(results, target),
        Section("Versions", versions(results)),
        Section("Sweep", pre=tomli_w.dumps(_shown(results))),
    ]
    write_file(
        target / "report.html", page(results.name, _subtitle(results), before, panels, after)
    )
    return target / "report.html"


def _subtitle(results: Results) -> str:
    """Return how many runs, cells and seeds there are, and of which scenario."""
    runs = results.runs()
    count = runs["status"].value_counts()
    states = [f"{count.get(state, 0):,} {state}" for state in ("done", "failed", "missing")]
    seeds = sorted(runs["seed"].unique())
    parts = [
        f"{how_many(len(runs), 'run')}: {', '.join(states)}",
        how_many(runs["cell"].nunique(), "cell"),
        f"{how_many(len(seeds), 'seed')} ({_range(seeds)})",
        f"from {Path(results.spec.get('scenario', Spec().scenario)).name}",
    ]
    return " · ".join(parts)


def factors(results: Results) -> pd.DataFrame:
    """Return one row per factor: how it is varied, and its levels."""
    plan = ordered(results, results.runs())
    kinds: dict[str, str] = {}
    for block in results.spec.get("design", []):
        kinds |= dict.fromkeys(block["factors"], block.get("kind", "grid"))
    rows = []
    for name in results.factors:
        levels = plan[name].cat.categories
        which = f"{_plain(levels[0])} to {_plain(levels[-1])}"
        if len(levels) <= 12:
            which = ", ".join(_plain(level) for level in levels)
        rows.append((name, kinds[name], len(levels), which))
    return pd.DataFrame(rows, columns=["factor", "design", "levels", "which"])


def versions(results: Results) -> pd.DataFrame:
    """Return the versions of the packages that the sweep was planned with."""
    known = [(name, version) for name, version in results.versions.items() if version]
    return pd.DataFrame(known, columns=["package", "version"])


def _scorecard(results: Results, target: Path) -> list[Section]:
    """Return the scorecard and the winner, where the sweep has them.

    They are computed again where the sweep's file says how, so that they fit the runs. Nothing is
    written into the folder of a sweep whose report lies elsewhere.
    """
    folder = results.folder
    beside = folder if target.parent == folder else target
    if results.spec.get("scorecard"):
        try:
            return _verdict(compare(results, out=beside), results.factors)
        except RunError as error:
            return [Section("Scorecard", note=str(error))]
    sections = []
    if (folder / SCORECARD).is_file():
        sections.append(Section("Scorecard", csv_frame(folder / SCORECARD)))
    if (folder / WINNER).is_file():
        text = (folder / WINNER).read_text(encoding="utf-8")
        sections.append(Section("Winner", pre=evidence(text)))
    return sections


def _verdict(verdict: Verdict, factors: list[str]) -> list[Section]:
    """Return the scorecard, the gains of deviations, and the winner or why there is none."""
    keys = [c for c in verdict.table.columns if c in factors]
    sections = [Section("Scorecard", verdict.table)]
    gains = gains_in_words(verdict)
    if not gains.empty:
        note = (
            "Mean gain of a deviating device over the same device when nobody attacks, paired by "
            f"seed, base units per run; {100 * verdict.level:.4g} % intervals that hold together "
            f"(Student, Bonferroni). {' '.join(f'{text}.' for text in verdict.warnings)}"
        )
        sections += [
            Section("Gain from deviating", gains, note=note.strip()),
            Section("Incentive compatibility", compatibility(verdict, keys)),
        ]
    title = verdict.title
    sections.append(
        Section(f"R{title[1:]}", rounded(verdict.ranking, keys), note=f"W{verdict.answer[1:]}.")
    )
    return sections


def _failures(results: Results, target: Path) -> list[Section]:
    failed = results.failures()
    if failed.empty:
        (target / "failures.csv").unlink(missing_ok=True)
        return []
    write_file(target / "failures.csv", csv_text(failed))
    shown = failed[["seed", *results.factors, "stage", "error"]]
    note = f"{_rows_note(len(shown), 'failures.csv')} Tracebacks are there."
    return [Section("Failures", shown.head(ROWS), note=note)]


def _outcomes(results: Results, target: Path) -> list[Section]:
    outcomes = results.outcomes()
    if outcomes.empty:
        return [Section("Outcomes", note="No run is done yet.")]
    recorded = [column for column in OUTCOMES if column in outcomes]
    summary = results.summary(of=recorded)
    write_file(target / "outcomes.csv", csv_text(summary))
    counts = [name for name in ("runs", "failed") if name in summary]
    shown = summary[[*results.factors, *counts]].copy()
    for column, name in OUTCOMES.items():
        if column in summary and summary[column].notna().any():
            shown[name] = with_interval(summary, column)
    note = (
        "Means over the seeds of each cell; utility in base units per device and run. "
        f"{in_words(summary['runs'])} {_rows_note(len(shown), 'outcomes.csv')}"
    )
    return [Section("Outcomes", shown.head(ROWS), note=note)]


def _shown(results: Results) -> dict[str, object]:
    """Return the sweep's file without its empty keys."""
    return {k: v for k, v in results.spec.items() if v not in ({}, [])}


def _rows_note(rows: int, file: str) -> str:
    """Say where all rows of a table are."""
    if rows > ROWS:
        return f"The first {ROWS} of {rows:,} rows; {file} has all."
    return f"Data: {file}."


def _range(seeds: list[int]) -> str:
    """Return seeds in words: 0, 1 or 0 to 9 or 3, 5, 7."""
    if len(seeds) > 2 and seeds[-1] - seeds[0] == len(seeds) - 1:
        return f"{seeds[0]} to {seeds[-1]}"
    first = ", ".join(str(seed) for seed in seeds[:10])
    return f"{first} …" if len(seeds) > 10 else first


def _plain(level: object) -> str:
    return f"{level:.3g}" if isinstance(level, float) else str(level)
