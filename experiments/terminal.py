"""Shared by all commands: options, one-line errors, tables, questions."""

from __future__ import annotations

import contextlib
import errno
import os
import sys
import traceback
import warnings
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table
from rich.text import Text

from experiments.console import err_console, out_console, shown
from experiments.fitting import Column, columns_of, fitted, records, wrapped
from fedstake.errors import KEPT, FedstakeError, FedstakeWarning, InputError, Terminated
from fedstake.interrupts import ending_on_sigterm
from fedstake.outside import literal, message_of
from fedstake.outside import shown as shortened

Note = Callable[[str], None]

EXIT_BAD_INPUT, EXIT_FAILED, EXIT_INTERRUPTED, EXIT_TERMINATED = 2, 1, 130, 143
MOST_TOLD = 4_000
"""Most characters of an error; of a longer one both ends are printed."""
NO_NAMES = (errno.ENAMETOOLONG, errno.ELOOP)
"""Errors of the file system that a name has by itself."""


def _data_in_force(context: typer.Context, folder: Path | None) -> Path | None:
    """Let the folder be in force for the whole command: run ids depend on samples."""
    if folder is not None:
        from sim.data.folder import reading_data

        context.with_resource(reading_data(folder))
    return folder


DebugOption = Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")]
YesOption = Annotated[
    bool, typer.Option("--yes", help="Say nothing and ask nothing about a large cost.")
]
DataOption = Annotated[
    Path | None,
    typer.Option(
        "--data",
        help="Folder of data files [default: FEDSTAKE_DATA, else the user's cache].",
        callback=_data_in_force,
    ),
]
WorkersOption = Annotated[int | None, typer.Option(min=1, help="Processes [default: all cores].")]
TimeoutOption = Annotated[
    float | None,
    typer.Option(metavar="SECONDS", help="End a run that takes longer: it has failed."),
]
MemoryOption = Annotated[
    float | None,
    typer.Option(metavar="GB", help="End a run that takes more memory: it has failed."),
]
TrustOption = Annotated[
    bool,
    typer.Option("--trust", help="Import plug-in files that the results name; they run code."),
]


@contextlib.contextmanager
def one_line_errors(debug: bool, file: str = "") -> Iterator[None]:
    """Turn errors of a command into one line and an exit code; see `_one_line`."""
    with ending_on_sigterm(), _one_line(debug, file):
        yield


@contextlib.contextmanager
def _one_line(debug: bool, file: str) -> Iterator[None]:
    """Turn errors into one line and an exit code.

    2 bad input, 1 a run that failed, 130 Ctrl-C, 143 SIGTERM. `file` is the scenario that errors of
    settings and data belong to. Warnings of the house are a line as well.
    """
    try:
        with _one_line_warnings():
            yield
    except typer.Exit:
        raise
    except FedstakeError as error:
        in_file = file and isinstance(error, _names_no_file())
        told = message_of(error)
        _complain(error, debug, f"{file}: {told}" if in_file else told)
        raise typer.Exit(error.exit_code) from None
    except BrokenPipeError:  # the reader of our output has closed it
        with contextlib.suppress(OSError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise typer.Exit(0) from None
    except KeyboardInterrupt as error:
        err_console.print(f"fedstake: {str(error) or 'interrupted'}", markup=False)
        ended = isinstance(error, Terminated)
        raise typer.Exit(EXIT_TERMINATED if ended else EXIT_INTERRUPTED) from None
    except OSError as error:
        place = shortened(error.filename or "output")
        _complain(error, debug, f"{place}: {error.strerror or error}")
        named_so = error.errno in NO_NAMES
        raise typer.Exit(EXIT_BAD_INPUT if named_so else EXIT_FAILED) from None
    except (Exception, SystemExit) as error:
        from mechanisms.failures import described

        _complain(error, debug, f"the run failed: {described(error)} (--debug shows where)")
        raise typer.Exit(EXIT_FAILED) from None


@contextlib.contextmanager
def _one_line_warnings() -> Iterator[None]:
    """Print each `FedstakeWarning` as one line of stderr; others stay as they are."""
    with warnings.catch_warnings():
        warnings.simplefilter("always", FedstakeWarning)
        show_others = warnings.showwarning

        def show_one(
            message: Warning | str, category: type[Warning], *place: Any, **more: Any
        ) -> None:
            if issubclass(category, FedstakeWarning):
                err_console.print(f"fedstake: {message}", markup=False)
            else:
                show_others(message, category, *place, **more)

        warnings.showwarning = show_one
        yield


def _names_no_file() -> tuple[type[Exception], ...]:
    """Return the errors whose message begins with a key: which file has it, the command knows."""
    from mechanisms.plugin import PluginError
    from sim.data.sources.base import DataError
    from sim.keys import SettingError

    return DataError, PluginError, SettingError


def _complain(error: BaseException, debug: bool, line: str) -> None:
    """Print an error as one line of stderr, after its traceback when it is asked for."""
    if debug:
        traceback.print_exception(error)
    kept = [note for note in getattr(error, "__notes__", ()) if note.startswith(KEPT)]
    whole = "; ".join([shortened(" ".join(line.split()), MOST_TOLD), *kept])
    err_console.print(f"fedstake: {whole}", markup=False)


def within(
    timeout: float | None,
    memory: float | None,
    work: Callable[[Note], None],
    debug: bool,
    file: str,
) -> None:
    """Do the work of a command; with a limit in a process of its own, which is ended above it.

    Args:
        timeout: most seconds.
        memory: most gigabytes.
        work: is given a function that notes where it is, as "round 3": the error says it.
        debug: whether errors of the work are printed with their traceback.
        file: the scenario that its errors belong to.
    """
    for option, limit in (("--timeout", timeout), ("--memory", memory)):
        if limit is not None and not 0 < limit < float("inf"):
            raise InputError(f"{option} {limit:g}: must be a number above 0")
    if timeout is None and memory is None:
        work(lambda place: None)
        return

    from experiments.limits import LimitError, Limits, in_child

    def command(tell: Callable[[dict[str, Any]], None]) -> None:
        try:
            with _one_line(debug, file):
                work(lambda place: tell({"place": place}))
        except typer.Exit as end:
            tell({"exit": end.exit_code})

    try:
        limits = Limits(timeout, None if memory is None else int(memory * 1e9))
        report = in_child(command, limits)
    except KeyboardInterrupt as error:  # the process of the work has said what it kept
        ended = isinstance(error, Terminated)
        raise typer.Exit(EXIT_TERMINATED if ended else EXIT_INTERRUPTED) from None
    said = {key: value for message in report.messages for key, value in message.items()}
    if isinstance(report.error, LimitError):
        place = f" in {said['place']}" if "place" in said else ""
        raise LimitError(f"{file}: {report.error}{place}")
    if report.error is not None:
        raise report.error
    if said.get("exit"):
        raise typer.Exit(said["exit"])


def show(table: Any, title: str = "", keys: int = 1) -> None:
    """Print a pandas frame as a table of text that fits the terminal; nothing of it is cut.

    `keys`: how many columns name the row; where columns have no room beside each other, those that
    follow come in blocks below, each with the keys again.
    """
    headings = [literal(str(column)) for column in table.columns]
    rows = [[literal(str(v)) for v in row] for row in table.itertuples(index=False)]
    width = out_console.width
    blocks = fitted(columns_of(headings, rows), width, keys)
    if title:
        out_console.print(Text(wrapped(shown(title), width), "table.title"))
    if not blocks:
        out_console.print(Text(records(headings, rows, width)))
    for i, block in enumerate(blocks):
        if i:
            out_console.print()
        out_console.print(_drawn(block))


def _drawn(block: Sequence[Column]) -> Table:
    """Return columns of text as a table of Rich."""
    view = Table(box=None, header_style="bold", pad_edge=False)
    for column in block:
        view.add_column(
            Text(column.head),
            justify="left" if column.left else "right",
            width=column.width,
            overflow="fold",
        )
    for cells in zip(*(column.cells for column in block), strict=True):
        view.add_row(*map(Text, cells))
    return view


def say(note: str) -> None:
    """Print a line that the user should read, on stderr."""
    err_console.print(f"fedstake: {note}", markup=False)


def confirm(announcement: str, yes: bool) -> None:
    """Print an expected cost, and ask at a terminal whether to go on; a script always goes on."""
    if not announcement or yes:
        return
    say(f"{announcement}; --yes leaves this line out")
    if watched() and not typer.confirm("go on?", err=True):
        raise typer.Exit(EXIT_FAILED)


def watched() -> bool:
    """Return whether somebody can be asked: both input and output are a terminal."""
    return err_console.is_terminal and sys.stdin.isatty()
