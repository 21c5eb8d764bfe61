"""`fedstake sweep`: run every combination of a sweep."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from experiments.console import err_console, out_console
from experiments.numerals import duration
from experiments.progress import counted
from experiments.terminal import (
    EXIT_FAILED,
    DataOption,
    DebugOption,
    MemoryOption,
    TimeoutOption,
    WorkersOption,
    YesOption,
    confirm,
    one_line_errors,
    say,
    show,
)

if TYPE_CHECKING:
    from experiments.results import Results
    from experiments.sweeps.drive import Outcome, Sweep


SourceArgument = Annotated[
    str,
    typer.Argument(
        metavar="SWEEP.toml",
        help="What to vary: see docs/how-to/run-a-sweep.md; or a scenario, with --vary.",
    ),
]
OutOption = Annotated[
    Path | None, typer.Option(help="Folder of the sweep [default: results/<name>].")
]
VaryOption = Annotated[
    list[str] | None,
    typer.Option(
        metavar="KEY=VALUE,VALUE", help="Vary a scenario key, beside the file's; repeatable."
    ),
]
SeedsOption = Annotated[
    int | None, typer.Option(min=1, help="Seeds of every cell [default: the file's, else 1].")
]
SetOption = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Set a key in all runs; repeatable."),
]
ReuseOption = Annotated[
    list[Path] | None,
    typer.Option(metavar="DIR", help="Take over finished runs of a folder; repeatable."),
]
DaskOption = Annotated[
    str | None,
    typer.Option(metavar="ADDRESS", help="A Dask scheduler to run on, as tcp://host:8786."),
]
DryRunOption = Annotated[
    bool,
    typer.Option("--dry-run", help="Say how many runs there are and what they would cost."),
]
CompactOption = Annotated[
    bool,
    typer.Option("--compact", help="Afterwards write one file per table, which opens faster."),
]


def sweep(
    source: SourceArgument,
    out: OutOption = None,
    vary: VaryOption = None,
    seeds: SeedsOption = None,
    set_: SetOption = None,
    reuse: ReuseOption = None,
    workers: WorkersOption = None,
    timeout: TimeoutOption = None,
    memory: MemoryOption = None,
    dask: DaskOption = None,
    dry_run: DryRunOption = False,
    compact: CompactOption = False,
    yes: YesOption = False,
    data: DataOption = None,
    debug: DebugOption = False,
) -> None:
    """Run every combination of a sweep; the same command goes on after a crash.

    Finished runs are never run again: a sweep may grow by more seeds, levels and factors.

    Example: fedstake sweep digits-quick --vary training.epochs=1,2 --seeds 3
    """
    with one_line_errors(debug, source):
        from experiments.loader import parse_override
        from experiments.results import Results
        from experiments.sweeps.drive import Sweep
        from experiments.sweeps.request import limited, parse_vary, requested

        settings = dict(parse_override(text) for text in set_ or [])
        spec = requested(source, vary=parse_vary(vary or []), seeds=seeds, set=settings)
        planned = Sweep(limited(spec, timeout, memory), out, reuse=reuse or [])
        if dry_run:
            _show_cost(planned, workers, data)
            return
        confirm(planned.announcement(duration, data), yes)
        with (
            planned.ready(),
            counted(planned.spec.name, len(planned.todo), planned.forecast()) as on_receipt,
        ):
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
        f"\n{how_many(outcome.planned, 'run')}: {outcome.found} reused, {outcome.done} new, "
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

    for line in planned.spec.merged:
        say(line)
    cost = planned.estimate(workers=workers, data=data)
    out_console.print(
        f"{how_many(cost.runs, 'run')}, {cost.todo} to do; "
        f"estimated from {how_many(cost.pilots, 'test run')}: "
        f"{duration(cost.cpu_s)} of CPU time, {duration(cost.wall_s)} on "
        f"{workers or os.cpu_count()} processes, {cost.bytes / 1e6:,.1f} MB of disk",
        markup=False,
    )


def _show_means(results: Results) -> None:
    """Print the mean outcomes of each cell, where there are cells with outcomes."""
    from experiments.numerals import rounded

    if results.factors and not results.outcomes().empty:
        means = results.labels.applied(results.summary(ci="none", named=False))
        show(rounded(means), f"{results.name}: means over runs", keys=len(results.factors))


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(sweep)
