"""The report of a sweep: the answer, the figure that shows it, tables, all other figures."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pandas as pd
import tomli_w

from experiments.figures import sweep_figures
from experiments.figures.base import SCREEN, Look, style
from experiments.figures.factors import ordered
from experiments.intervals import in_words
from experiments.labels import quoted
from experiments.numerals import how_many, with_interval
from experiments.reports.answer import Answer, answer_of
from experiments.reports.drawing import Wanted, apart, check_figures, draw_all
from experiments.reports.page import Gallery, Section, page
from experiments.results import Results
from experiments.rundir import write_file
from experiments.spreadsheet import csv_text
from experiments.sweeps.plan import Spec

ROWS = 400
"""Rows of a table on the page; the CSV has all."""
OUTCOMES = {
    "accuracy": "accuracy",
    "honest_utility": "utility, honest",
    "adversary_utility": "utility, adversary",
}
SHOWING = ("pareto", "lines", "payoffs", "accuracy-curves")
"""Figures that show an answer, the first that is there beside it."""


def report_sweep(
    results: Results,
    target: Path,
    command: list[str],
    want: Wanted,
    on_figure: Callable[[int], None] | None = None,
    on_missing: Callable[[str], None] | None = None,
) -> Path:
    """Write the figures, tables and `report.html` of a sweep into a folder that is there.

    Figures that it has no data for are left out.
    """
    figures = sweep_figures()
    check_figures(want, [figure.name for figure in figures])
    # Nothing is written into the folder of a sweep whose report lies elsewhere.
    beside = results.folder if target.parent == results.folder else target
    answer = answer_of(results, beside)
    labels = results.labels.drawn()
    looks = {
        False: Look(labels, answer.order, want.width, ranked_by=answer.measure),
        True: Look(labels, answer.order, SCREEN, stacked=True, ranked_by=answer.measure),
    }
    with style():
        gallery = draw_all(
            figures,
            lambda figure: figure.data(results) if results.has(figure.needs) else pd.DataFrame(),
            lambda figure, table, small: figure.draw(table, looks[small]),
            target,
            want,
            command,
            on_figure,
            on_missing,
        )
    parts = _parts(results, target, answer, gallery)
    write_file(target / "report.html", page(results.name, _subtitle(results), parts))
    return target / "report.html"


def _parts(
    results: Results, target: Path, answer: Answer, gallery: Gallery
) -> list[Section | Gallery]:
    """Return the parts of the page in their order."""
    first, others = apart(gallery, SHOWING)
    return [
        *answer.lead,
        *_failures(results, target),
        first,
        *answer.tables,
        others,
        *_outcomes(results, target),
        Section("Factors", factors(results)),
        Section("Versions", versions(results)),
        Section("Sweep", pre=tomli_w.dumps(_shown(results))),
    ]


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
    """Return one row per factor: what it is called, how it is varied, and its levels.

    A level with a comma is in quotation marks.
    """
    plan = ordered(results, results.runs())
    labels = results.labels
    kinds: dict[str, str] = {}
    for block in results.spec.get("design", []):
        kinds |= dict.fromkeys(block["factors"], block.get("kind", "grid"))
    rows = []
    for name in results.factors:
        levels = [labels.level(name, level) for level in plan[name].cat.categories]
        which = f"{levels[0]} to {levels[-1]}"
        if len(levels) <= 12:
            which = ", ".join(quoted(level) for level in levels)
        rows.append((labels.factor(name), name, kinds[name], len(levels), which))
    return pd.DataFrame(rows, columns=["factor", "key", "design", "levels", "which"])


def versions(results: Results) -> pd.DataFrame:
    """Return the versions of the packages that the sweep was planned with."""
    known = [(name, version) for name, version in results.versions.items() if version]
    return pd.DataFrame(known, columns=["package", "version"])


def _failures(results: Results, target: Path) -> list[Section]:
    failed = results.failures()
    if failed.empty:
        (target / "failures.csv").unlink(missing_ok=True)
        return []
    write_file(target / "failures.csv", csv_text(failed))
    shown = results.labels.applied(failed[[*results.factors, "seed", "stage", "error"]])
    note = f"{_rows_note(len(shown), 'failures.csv')} Tracebacks are there."
    return [Section("Failures", shown.head(ROWS), note=note)]


def _outcomes(results: Results, target: Path) -> list[Section]:
    outcomes = results.outcomes()
    if outcomes.empty:
        return [Section("Outcomes", note="No run is done yet.")]
    recorded = [column for column in OUTCOMES if column in outcomes]
    summary = results.summary(of=recorded, named=False)
    write_file(target / "outcomes.csv", csv_text(summary))
    counts = [name for name in ("runs", "failed") if name in summary]
    shown = results.labels.applied(summary[[*results.factors, *counts]])
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
    return {k: v for k, v in results.spec.items() if v not in ({}, [], None)}


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
