"""`fedstake search`: the worst attack, or the cheapest parameters under which honesty holds."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from experiments.console import out_console
from experiments.terminal import (
    EXIT_FAILED,
    DataOption,
    DebugOption,
    WorkersOption,
    one_line_errors,
    show,
)

if TYPE_CHECKING:
    import pandas as pd

    from experiments.search.found import Found

SHOWN = 8
"""Trials that are printed, the best first."""


def search(
    source: Annotated[
        Path,
        typer.Argument(
            metavar="SEARCH.toml",
            help="What to search: see docs/how-to/search-for-the-worst-attack.md.",
        ),
    ],
    out: Annotated[
        Path | None, typer.Option(help="Folder of runs and results [default: results/NAME].")
    ] = None,
    workers: WorkersOption = None,
    data: DataOption = None,
    debug: DebugOption = False,
) -> None:
    """Search the worst attack, the cheapest parameters under which honesty holds, or both in turn.

    What is found is scored again on fresh seeds. The same command goes on after a crash. Exit code
    1 when there is no answer.

    Example: fedstake search worst.toml
    """
    with one_line_errors(debug, str(source)):
        from experiments.search.drive import search as play
        from experiments.search.report import report
        from experiments.search.spec import load_search

        folder = out or Path("results") / load_search(source)[0].name
        found = play(source, folder, workers=workers, data=data)
        page = report(found, folder, ["fedstake", "search", source.name])
        _show(found)
        out_console.print(f"\nwritten to {folder}; report: {page}", markup=False)
        if not found.answered:
            raise typer.Exit(EXIT_FAILED)


def _show(found: Found) -> None:
    """Print the answer, then how sure it is, then the tables."""
    from experiments.numerals import rounded

    out_console.print(f"{found.name}: {found.lines[0]}", markup=False)
    if found.toml:
        out_console.print(f"\n{found.toml.rstrip()}\n", markup=False)
    for line in found.lines[1:]:
        out_console.print(line, markup=False)
    titles = {
        "fresh": "in the search and on fresh seeds",
        "sensitivity": "what each key matters",
        "trials": f"trials, the best first (all of them: trials.csv); score: {found.of}",
    }
    for name, title in titles.items():
        table = found.frames.get(name)
        if table is not None and len(table):
            out_console.print()
            show(rounded(_readable(name, table)), title, keys=1)


def _readable(name: str, table: pd.DataFrame) -> pd.DataFrame:
    """Return a table as it is printed: of the trials the best ones, without empty columns."""
    import pandas as pd

    from experiments.search.report import shown

    if name != "trials":
        return shown(table)
    searches = table["search"].unique().tolist()
    each = max(1, SHOWN // len(searches))
    best = [_best(table[table["search"] == own]).head(each) for own in searches]
    return shown(pd.concat(best))


def _best(trials: pd.DataFrame) -> pd.DataFrame:
    """Return the trials of one search that were played, the best first."""
    played = trials[trials["score"].notna()]
    if "holds" in played and played["holds"].notna().any():
        # The cheapest of those that hold.
        order, ascending = ["holds", "score"], [False, True]
    else:
        order, ascending = ["score"], [False]
    return played.sort_values(order, ascending=ascending, kind="stable")


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(search)
