"""`fedstake report`: figures and one page of a run or a sweep."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from experiments.terminal import DebugOption, TrustOption, one_line_errors, out_console, progress


def report(
    directory: Annotated[Path, typer.Argument(help="A run directory, or the folder of a sweep.")],
    out: Annotated[
        Path | None, typer.Option(help="Where to write [default: DIRECTORY/report].")
    ] = None,
    trust: TrustOption = False,
    debug: DebugOption = False,
) -> None:
    """Draw the figures of a run or a sweep (PNG, SVG, CSV) and one self-contained report.html.

    Example: fedstake report results/digits-quick-548d72b99108
    """
    with one_line_errors(debug):
        from experiments.figures import sweep_figures
        from experiments.reports import open_recorded
        from experiments.reports import report as write_report
        from experiments.rundir import RunResult
        from mechanisms.registry import reading

        with reading(trust=trust):
            recorded = open_recorded(directory)
            if isinstance(recorded, RunResult):
                page = write_report(recorded, out)
            else:
                with progress("report", len(sweep_figures())) as report_done:
                    page = write_report(recorded, out, on_figure=report_done)
        out_console.print(f"{page}", markup=False)


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(report)
