"""Progress of what takes long: a bar in a terminal, one line in a notebook, else plain lines."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Any, Protocol

from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    TextColumn,
    TimeElapsedColumn,
)
from rich.progress import Progress as Bars

from experiments.console import err_console
from experiments.numerals import duration
from fedstake.outside import literal

if TYPE_CHECKING:
    from experiments.sweeps.forecast import Forecast
    from experiments.sweeps.manifest import Receipt

Progress = bool | Callable[[int, int], object] | None
"""What a caller asks for: progress or none; a function that is called with the numbers done and in
all; None: progress where somebody watches, in a terminal or a notebook.
"""


@dataclass(frozen=True)
class State:
    """How far a task is: what it is called, the numbers done and in all, the time left in words."""

    label: str
    done: int
    total: int
    left: str = ""

    def __str__(self) -> str:
        line = f"{self.label}: {self.done}/{self.total}"
        return f"{line}, {self.left}" if self.left else line


class Display(Protocol):
    """Where progress is shown."""

    def begin(self, state: State) -> None:
        """Show a task that begins, perhaps with a part done before."""

    def show(self, state: State) -> None:
        """Show how far the task is now."""


class Nowhere:
    """Shows nothing."""

    def begin(self, state: State) -> None: ...

    def show(self, state: State) -> None: ...


class Called(Nowhere):
    """Calls a function of the user's with the numbers done and in all."""

    def __init__(self, function: Callable[[int, int], object]) -> None:
        self._function = function

    def show(self, state: State) -> None:
        self._function(state.done, state.total)


class Lines(Nowhere):
    """Prints a plain line on stderr about every tenth."""

    def show(self, state: State) -> None:
        if state.done % max(1, state.total // 10) == 0 or state.done == state.total:
            err_console.print(str(state), markup=False)


class Bar:
    """Draws a bar in a terminal."""

    def __init__(self, bars: Bars) -> None:
        self._bars, self._task = bars, bars.add_task("", left="")

    def begin(self, state: State) -> None:
        self.show(state)

    def show(self, state: State) -> None:
        self._bars.update(
            self._task,
            description=literal(state.label),
            completed=state.done,
            total=state.total,
            left=state.left,
        )


class Cell:
    """Shows one line under the cell of a notebook, and changes it a hundred times at most."""

    def __init__(self) -> None:
        self._line: Any = None
        self._percent = -1

    def begin(self, state: State) -> None:
        from IPython.display import display

        if self._line is None:
            self._line = display(_Line(state), display_id=True)
        else:
            self._line.update(_Line(state))

    def show(self, state: State) -> None:
        percent = 100 * state.done // max(1, state.total)
        if percent != self._percent:
            self._percent = percent
            self._line.update(_Line(state))


@dataclass(frozen=True)
class _Line:
    """A state as a notebook shows it."""

    state: State

    def __repr__(self) -> str:
        return literal(str(self.state))

    def _repr_html_(self) -> str:
        bar = f'<progress value="{self.state.done}" max="{self.state.total}"></progress>'
        return f"{bar} {escape(repr(self))}"


class Tell:
    """Progress of a task: call it with the number done, or `of` when the total changes as well."""

    def __init__(
        self, label: str, total: int, left_s: Callable[[], float | None] | None, display: Display
    ) -> None:
        self._label, self._total, self._left_s, self._display = label, total, left_s, display
        self.begin(0)

    def begin(self, done: int) -> None:
        """Begin with some done before: they say nothing about the speed."""
        self._began, self._first = time.monotonic(), done
        self._display.begin(State(self._label, done, self._total))

    def __call__(self, done: int) -> None:
        self._display.show(State(self._label, done, self._total, self._time_left(done)))

    def of(self, done: int, total: int) -> None:
        """Show the number done and a new total."""
        self._total = total
        self(done)

    def _time_left(self, done: int) -> str:
        """Return the time to go in words; "" at the end and before there is an estimate."""
        estimate = None
        if self._left_s:
            estimate = self._left_s()
        elif done > self._first:
            took = time.monotonic() - self._began
            estimate = (self._total - done) * took / (done - self._first)
        if estimate is None or done == self._total:
            return ""
        return f"about {duration(estimate)} left"


@contextmanager
def progress(
    label: str,
    total: int,
    left_s: Callable[[], float | None] | None = None,
    asked: Progress = True,
) -> Iterator[Tell]:
    """Show the progress of a task; the block gets a function to call with the number done.

    Args:
        label: what the task is called.
        total: how many there are to do.
        left_s: estimates the seconds to go (default: as fast as so far).
        asked: see `Progress`.
    """
    with _display(asked if total else False) as display:
        yield Tell(label, total, left_s, display)


@contextmanager
def counted(
    label: str, total: int, forecast: Forecast | None = None, asked: Progress = True
) -> Iterator[Callable[[Receipt], None]]:
    """Show the progress of runs that end one by one; the block gets a function for receipts."""
    with progress(label, total, forecast.left_s if forecast else None, asked) as report_done:
        done = 0

        def on_receipt(receipt: Receipt) -> None:
            nonlocal done
            done += 1
            if forecast:
                forecast.ended(receipt.run_id, receipt.wall_s)
            report_done(done)

        yield on_receipt


@contextmanager
def _display(asked: Progress) -> Iterator[Display]:
    """Open the display that is asked for, or that fits where this process runs."""
    if callable(asked):
        yield Called(asked)
    elif asked not in (True, False, None):
        raise TypeError(f"progress = {asked!r}: must be True, False, None or a function")
    elif asked is False:
        yield Nowhere()
    elif in_notebook():
        yield Cell()
    elif err_console.is_terminal:
        with Bars(*_columns(), console=err_console, transient=True) as bars:
            yield Bar(bars)
    else:
        yield Lines() if asked else Nowhere()


def _columns() -> tuple[Any, ...]:
    """Return the parts of a bar in a terminal."""
    return (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.fields[left]}"),
    )


def in_notebook() -> bool:
    """Return whether this process is the kernel of a notebook."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython else None
    return hasattr(shell, "kernel")
