"""`fedstake sweep`: run every combination of a sweep."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from experiments.terminal import (
    EXIT_FAILED,
    DataOption,
    DebugOption,
    counted,
    duration,
    err_console,
    one_line_errors,
    out_console,
    show,
)

if TYPE_CHECKING:
    from experiments.results import Results
    from experiments.sweeps.drive import Outcome, Sweep


def sweep(
    source: Annotated[
        str,
        typer.Argument(metavar="SWEEP.toml", help="What to vary: see docs/how-to/run-a-sweep.md."),
    ],
    out: Annotated[
        Path | None, typer.Option(help="Folder of the sweep [default: results/<name>].")
    ] = None,
    workers: Annotated[
        int | None, typer.Option(min=1, help="Processes [default: all cores].")
    ] = None,
    dask: Annotated[
        str | None,
        typer.Option(metavar="ADDRESS", help="A Dask scheduler to run on, as tcp://host:8786."),
    ] = None,
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", help="Say how many runs there are and what they would cost."),
    ] = False,
    compact: Annotated[
        bool,
        typer.Option("--compact", help="Afterwards write one file per table, which opens faster."),
    ] = False,
    data: DataOption = None,
    debug: DebugOption = False,
) -> None:
    """Run every combination of a sweep; the same command goes on after a crash.

    Finished runs are never run again.

    Example: fedstake sweep sweep.toml --workers 4
    """
    with one_line_errors(debug, source):
        from experiments.results import Results
        from experiments.sweeps.drive import Sweep

        planned = Sweep(source, out)
        if dry_run:
            _show_cost(planned, workers, data)
            return
        with counted(planned.spec.name, len(planned.todo), planned.forecast()) as on_receipt:
            outcome = planned.play(workers=workers, dask=dask, data=data, on_receipt=on_receipt)
        results = Results.open(outcome.folder)
        if compact:
            results.compact()
        _show_means(results)
        _show_outcome(outcome, results)
        if outcome.failed:
            raise typer.Exit(EXIT_FAILED)


def _show_outcome(outcome: Outcome, results: Results) -> None:
    """Print how many runs there are now, and the first of those that failed."""
    from experiments.numerals import how_many

    size = results.runs()["bytes"].sum()
    out_console.print(
        f"\n{how_many(outcome.planned, 'run')}: {outcome.found} found, {outcome.done} done, "
        f"{outcome.failed} failed, {duration(outcome.wall_s)}, "
        f"{size / 1e6:,.1f} MB of tables in {outcome.folder}",
        markup=False,
    )
    if outcome.failed:
        first = results.failures().iloc[0]
        cell = ", ".join(f"{name} = {first[name]}" for name in (*results.factors, "seed"))
        err_console.print(
            f"fedstake: {how_many(outcome.failed, 'run')} failed; the first in {first['stage']} "
            f"({cell}): {first['error']} (Results.open(...).failures() has all)",
            markup=False,
        )


def _show_cost(planned: Sweep, workers: int | None, data: Path | None) -> None:
    """Print what the runs to do would cost."""
    from experiments.numerals import how_many

    cost = planned.estimate(workers=workers, data=data)
    out_console.print(
        f"{how_many(cost.runs, 'run')}, {cost.todo} to do; from {how_many(cost.pilots, 'pilot')}: "
        f"{duration(cost.cpu_s)} of CPU time, {duration(cost.wall_s)} on "
        f"{workers or os.cpu_count()} processes, {cost.bytes / 1e6:,.1f} MB of disk",
        markup=False,
    )


def _show_means(results: Results) -> None:
    """Print the mean outcomes of each cell, where there are cells with outcomes."""
    from experiments.numerals import rounded

    if results.factors and not results.outcomes().empty:
        means = results.summary(ci="none")
        show(rounded(means, results.factors), f"{results.name}: means over runs")


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(sweep)
