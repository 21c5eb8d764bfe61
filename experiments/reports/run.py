"""The report of one run."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pandas as pd
import tomli_w

from experiments.figures import run_figures
from experiments.figures.base import SCREEN, Sheet, canvas, style
from experiments.figures.declared import declared_figures
from experiments.reports.drawing import Wanted, check_figures, draw_all
from experiments.reports.page import Gallery, Section, page
from experiments.rundir import write_file
from experiments.runfiles import setting
from experiments.runresult import RunResult


def report_run(
    run: RunResult,
    target: Path,
    command: list[str],
    want: Wanted,
    on_missing: Callable[[str], None] | None = None,
) -> Path:
    """Write the figures and `report.html` of one run into a folder that is there.

    The figures that a protocol declares in the manifest come after those of the house. Replays
    stand between the run's tables and its figures.
    """
    from experiments.reports.replays import replay_parts  # the chain bridge takes long to import

    shipped = run_figures()
    declared = declared_figures(run, {figure.name for figure in shipped})
    check_figures(want, [figure.name for figure in (*shipped, *declared)])
    tables = _tables(run)  # what is refused is refused before anything is drawn
    with style():
        gallery = draw_all(
            [*shipped, *declared],
            lambda figure: figure.data(run) if run.has(figure.needs) else pd.DataFrame(),
            lambda figure, table, small: Sheet(
                canvas(figure, table, SCREEN if small else want.width)
            ),
            target,
            want,
            command,
            on_missing=on_missing,
        )
    parts: list[Section | Gallery] = [
        *tables,
        *replay_parts(run, target),
        gallery,
        Section("Scenario", pre=tomli_w.dumps(run.settings)),
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
    found = run.summary()
    sections = [
        Section("Summary", found.frame(), head=False),
        Section(f"Utility per device ({found.unit})", found.utility_frame()),
    ]
    shown = [s for s in sections if s.table is not None and not s.table.empty]
    if run.failed:
        line = f"failed in {run.failed['stage']}: {run.failed['error']}"
        shown.insert(0, Section("Failure", pre=run.failed["traceback"], lines=(line,)))
    return shown
