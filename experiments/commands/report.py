"""`fedstake report`: figures and one page of a run, a sweep or a game."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from experiments.console import err_console, out_console
from experiments.progress import progress
from experiments.terminal import DebugOption, TrustOption, one_line_errors

if TYPE_CHECKING:
    from experiments.games.record import RecordedGame
    from experiments.results import Results


def report(
    directory: Annotated[
        Path,
        typer.Argument(metavar="DIR", help="A run directory, or the folder of a sweep or game."),
    ],
    out: Annotated[
        Path | None,
        typer.Option(help="Where to write [default: DIRECTORY/report; of a game DIRECTORY]."),
    ] = None,
    trust: TrustOption = False,
    figures: Annotated[
        str, typer.Option(metavar="NAME,...", help="Draw only these figures [default: all].")
    ] = "",
    format_: Annotated[
        str,
        typer.Option("--format", metavar="KIND,...", help="Of the figures: png, svg, pdf."),
    ] = "png,svg",
    width: Annotated[
        str,
        typer.Option(
            metavar="single|double",
            help="One or two columns of a printed page, 3.4 or 7 inches "
            "[default: what a figure needs].",
        ),
    ] = "",
    debug: DebugOption = False,
) -> None:
    """Draw the figures of a run, a sweep or a game and write one self-contained report.html.

    Each figure is a PNG and an SVG, or whatever --format asks for, with its data as CSV.

    Example: fedstake report results/digits-quick-548d72b99108 --format pdf --width single
    """
    with one_line_errors(debug):
        from experiments.reports import open_recorded
        from experiments.reports import report as write_report
        from experiments.runresult import RunResult
        from mechanisms.registry import reading

        with reading(trust=trust):
            recorded = open_recorded(directory)
            missing: list[str] = []
            write = partial(
                write_report,
                recorded,
                out,
                figures=figures,
                formats=format_,
                width=width,
                on_missing=missing.append,
            )
            page = write() if isinstance(recorded, RunResult) else _counted(recorded, write)
        for line in missing:
            err_console.print(f"fedstake: {line}", markup=False)
        out_console.print(f"{page}", markup=False)


def _counted(recorded: Results | RecordedGame, write: Callable[..., Path]) -> Path:
    """Write the page of a sweep or a game while its figures are counted; return its path."""
    from experiments.figures import game_figures, sweep_figures
    from experiments.results import Results

    known = sweep_figures() if isinstance(recorded, Results) else game_figures()
    with progress("report", len(known)) as report_done:
        return write(on_figure=report_done)


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(report)
