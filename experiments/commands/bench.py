"""`fedstake bench`: the row of a payout rule in the frozen suite, and the leaderboard."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from experiments.console import out_console
from experiments.terminal import DataOption, DebugOption, WorkersOption, one_line_errors, show
from fedstake.errors import InputError

if TYPE_CHECKING:
    from experiments.bench.board import Board
    from experiments.bench.record import Record
    from experiments.bench.suite import Suite

SHOWN = 8
"""Variants that are printed, those that gain most."""

RuleArgument = Annotated[
    str | None, typer.Argument(metavar="RULE", help="A payout rule by name, or path.py:Class.")
]
TableOption = Annotated[bool, typer.Option("--table", help="Print the leaderboard.")]
AllOption = Annotated[
    bool, typer.Option("--all", help="Make the leaderboard of all shipped payout rules.")
]
RowOption = Annotated[
    list[Path] | None,
    typer.Option(metavar="FILE", help="With --table: a row.json beside the others; repeatable."),
]
SetOption = Annotated[
    list[str] | None,
    typer.Option(
        "--set", metavar="KEY=VALUE", help="A parameter or parts of the rule; repeatable."
    ),
]
OutOption = Annotated[Path, typer.Option(help="Folder of runs and rows.")]
WriteOption = Annotated[
    Path | None,
    typer.Option(
        metavar="DIR",
        help="Where --all and --table write the leaderboard [default: "
        "OUT of --all; --table writes none].",
    ),
]


def bench(
    rule: RuleArgument = None,
    table: TableOption = False,
    all_: AllOption = False,
    row: RowOption = None,
    set_: SetOption = None,
    out: OutOption = Path("results/bench"),
    write: WriteOption = None,
    workers: WorkersOption = None,
    data: DataOption = None,
    debug: DebugOption = False,
) -> None:
    """Measure a payout rule in the frozen suite: one row, beside the leaderboard.

    The same command goes on after a crash; what was played for one rule serves the next.

    Example: fedstake bench flat
    """
    with one_line_errors(debug, rule or ""):
        _check_words(rule, table, all_, row, set_)
        if table:
            _table(row or [], write)
        elif all_:
            _all(out, write, workers, data)
        else:
            _row(rule or "", set_ or [], out, workers, data)


def _check_words(
    rule: str | None, table: bool, all_: bool, row: list[Path] | None, set_: list[str] | None
) -> None:
    """Raise `InputError` unless one thing is asked for."""
    if [rule is not None, table, all_].count(True) != 1:
        raise InputError("bench: give either a RULE, or --table, or --all")
    if row and not table:
        raise InputError("--row: only with --table")
    if set_ and rule is None:
        raise InputError("--set: only with a RULE")


def _table(files: list[Path], write: Path | None) -> None:
    """Print the committed leaderboard, with the rows of some files in it."""
    from experiments.bench.board import COMMITTED, read_board, write_board
    from experiments.bench.record import read_record
    from experiments.bench.suite import load_suite
    from experiments.rundir import check_writable

    if write is not None:
        check_writable(write)
    suite = load_suite()
    board = read_board(COMMITTED, suite)
    board = board.with_rows([read_record(file, suite) for file in files], suite)
    _show_board(board, suite)
    if write is not None:
        write_board(board, write)
        out_console.print(f"\nwritten to {write}", markup=False)


def _all(out: Path, write: Path | None, workers: int | None, data: Path | None) -> None:
    """Make the leaderboard of all shipped payout rules."""
    import shlex
    import sys

    from experiments.bench.board import board_of, write_board
    from experiments.bench.making import bench_all
    from experiments.rundir import check_writable

    check_writable(write or out)
    found = bench_all(out, workers=workers, data=data, progress=True)
    suite = found[0].suite
    command = shlex.join(["fedstake", *sys.argv[1:]])
    board = board_of([benched.record for benched in found], suite, command)
    write_board(board, write or out)
    _show_board(board, suite)
    out_console.print(f"\nwritten to {write or out}", markup=False)


def _row(rule: str, set_: list[str], out: Path, workers: int | None, data: Path | None) -> None:
    """Make the row of one rule, and show it beside the leaderboard."""
    from experiments.audits.question import changes_of
    from experiments.bench.board import COMMITTED, board_of, read_board
    from experiments.bench.making import bench as measured
    from experiments.bench.making import folder_of

    changes = changes_of(set_)
    benched = measured(rule, out, set=changes, workers=workers, data=data, progress=True)
    record, suite = benched.record, benched.suite
    out_console.print(benched.answer, markup=False)
    out_console.print(_basis(record, suite), markup=False)
    out_console.print()
    _show_gains(benched.gains())
    out_console.print()
    try:
        board = read_board(COMMITTED, suite)
    except InputError as error:
        out_console.print(f"no leaderboard to compare with: {error}", markup=False)
        board = board_of([record], suite, "")
    else:
        board = board.with_rows([record], suite)
    _show_board(board, suite, record)
    out_console.print(f"\nwritten to {folder_of(record, out)}", markup=False)


def _basis(record: Record, suite: Suite) -> str:
    """Return what a row rests on."""
    from experiments.numerals import how_many

    why = "; ".join(f"{count} x {reason}" for reason, count in record.why.items())
    played = f"; {how_many(record.played, 'run')} played for it ({why})" if record.played else ""
    cells = len(suite.cells())
    return (
        f"suite {suite.version} ({suite.hash}), protocol {record.protocol}: "
        f"{how_many(record.on_tape, 'run')} paid on tapes{played}. "
        f"Gains over {cells} paired runs; intervals hold for all variants together, "
        f"{100 * suite.level:g} %, Student's t."
    )


def _show_gains(gains: object) -> None:
    """Print the variants that gain most."""
    import numpy as np
    import pandas as pd

    from experiments.numerals import number, with_interval

    assert isinstance(gains, pd.DataFrame)
    known = gains.dropna(subset="gain")
    order = np.argsort(-known["gain"].to_numpy(float), kind="stable")
    best = known.take(order[:SHOWN]).copy()
    best["gain_low"], best["gain_high"] = best["low"], best["high"]
    shown = best[["variant", "devices", "verdict"]].copy()
    shown.insert(1, "gain", with_interval(best, "gain"))
    shown.insert(2, "% of payoff", [number(value, 0) for value in best["share"]])
    show(shown, "what gains most, base units per run")


def _show_board(board: Board, suite: Suite, own: Record | None = None) -> None:
    """Print a leaderboard; an arrow stands before one's own row."""
    from experiments.bench.board import label_of, shown_rows
    from experiments.bench.row import ORDER

    shown = shown_rows(board.rows, suite)
    if own is not None:
        mark = [("> " if name == label_of(own) else "  ") + name for name in shown["rule"]]
        shown["rule"] = mark
    show(shown, f"suite {suite.version} ({suite.hash}), {ORDER}")


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(bench)
