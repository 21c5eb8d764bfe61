"""`fedstake reproduce`: play the experiments of a paper."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from experiments.console import out_console
from experiments.numerals import duration
from experiments.progress import counted
from experiments.terminal import DataOption, DebugOption, WorkersOption, one_line_errors, show

if TYPE_CHECKING:
    import pandas as pd


def reproduce(
    paper: Annotated[
        str,
        typer.Argument(metavar="PAPER", help="Which paper; an unknown one says which there are."),
    ],
    size: Annotated[
        str,
        typer.Option(help="smoke (seconds), reduced (what minutes allow) or paper (as published)."),
    ] = "smoke",
    with_: Annotated[
        list[str] | None,
        typer.Option(
            "--with", metavar="GROUP", help="An optional group of runs as well; repeatable."
        ),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder [default: results/reproduce-<paper>-<size>].")
    ] = None,
    workers: WorkersOption = None,
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", help="Say how many runs there are and what they would cost."),
    ] = False,
    data: DataOption = None,
    debug: DebugOption = False,
) -> None:
    """Play a paper's experiments, draw its figures and check every published value.

    Example: fedstake reproduce vbfl --size smoke
    """
    with one_line_errors(debug):
        from experiments.reproduce.driver import Reproduction
        from experiments.reproduce.verdicts import tally

        wanted = Reproduction(paper, size, out, with_ or ())
        cost = wanted.estimate()
        if dry_run:
            _show_cost(cost, workers or os.cpu_count() or 1)
            return
        todo = sum(len(sweep.todo) for sweep in wanted.sweeps.values())
        with counted(f"{paper} {size}", todo) as on_receipt:
            evidence = wanted.play(workers=workers, data=data, on_receipt=on_receipt)
        outcome = wanted.write(evidence)
        _show_verdicts(outcome.verdicts)
        show(outcome.cost, f"\n{wanted.cost_heading}")
        out_console.print(f"\n{tally(outcome.verdicts)}\nreport: {outcome.page}", markup=False)


def _show_verdicts(found: pd.DataFrame) -> None:
    """Print all verdicts; of a paper in parts those on the parts, and what does not hold."""
    from experiments.reproduce.verdicts import OUTSIDE, UNDECIDED, by_part, kind_of

    columns = ["id", "published", "measured", "verdict"]
    parts = by_part(found)
    if parts.empty:
        show(found[columns])
        return
    show(parts)
    apart = found[found["verdict"].map(kind_of).isin((OUTSIDE, UNDECIDED))]
    if len(apart):
        show(apart[columns], "\nOutside or undecided")


def _show_cost(cost: pd.DataFrame, processes: int) -> None:
    """Print the estimated CPU time of each group of runs, and of all."""
    cpu_s = cost["cpu_s"].sum()
    readable = cost.assign(cpu_s=[duration(s) for s in cost["cpu_s"]])
    show(readable.rename(columns={"cpu_s": "CPU time"}))
    out_console.print(
        f"\n{duration(cpu_s)} of CPU time, {duration(cpu_s / processes)} on {processes} processes",
        markup=False,
    )


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(reproduce)
