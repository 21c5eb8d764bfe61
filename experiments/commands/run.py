"""`fedstake run`: play one scenario and record it."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from experiments.console import err_console, out_console
from experiments.numerals import duration
from experiments.terminal import (
    DataOption,
    DebugOption,
    MemoryOption,
    TimeoutOption,
    YesOption,
    confirm,
    one_line_errors,
    within,
)

if TYPE_CHECKING:
    from experiments.runresult import RunResult
    from experiments.terminal import Note
    from experiments.view import RunView
    from sim.scenario import Scenario


KeepStateOption = Annotated[
    bool,
    typer.Option("--keep-state", help="Keep what --extend needs to go on without replaying."),
]
ExtendOption = Annotated[
    Path | None,
    typer.Option(
        metavar="RUN_DIR",
        help="Go on from a finished run with fewer rounds; all else must be the same.",
    ),
]


def run(
    scenario: Annotated[
        str,
        typer.Argument(
            metavar="SCENARIO", help="A TOML file, or a preset (fedstake list scenarios)."
        ),
    ],
    seed: Annotated[
        int | None, typer.Option(help="Seed of the run [default: the scenario's].")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Run directory [default: results/<name>-<run id>].")
    ] = None,
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Override a key; repeatable."),
    ] = None,
    data: DataOption = None,
    checkpoint_every: Annotated[
        int,
        typer.Option(
            min=0,
            metavar="ROUNDS",
            help="Keep a checkpoint every so many rounds, beside one about every minute.",
        ),
    ] = 0,
    keep_state: KeepStateOption = False,
    extend: ExtendOption = None,
    timeout: TimeoutOption = None,
    memory: MemoryOption = None,
    yes: YesOption = False,
    force: Annotated[
        bool, typer.Option("--force", help="Run again and replace a run that is there.")
    ] = False,
    debug: DebugOption = False,
) -> None:
    """Run one scenario and record it.

    Example: fedstake run digits-quick --seed 1 --set adversaries.0.count=6
    """
    with one_line_errors(debug, scenario):
        from experiments.loader import load_scenario, parse_override

        overrides = dict(parse_override(text) for text in set_ or [])
        if seed is not None:
            overrides["seed"] = seed
        loaded = load_scenario(scenario, overrides)
        work = partial(
            _run,
            loaded,
            out,
            data=data,
            checkpoint_every=checkpoint_every,
            keep_state=keep_state,
            extend=extend,
            force=force,
            yes=yes,
        )
        within(timeout, memory, work, debug, scenario)


def _run(loaded: Scenario, out: Path | None, note: Note, **options: Any) -> None:
    """Play a scenario, unless it was recorded before; print what it came to, and where it is."""
    from experiments.recorded import sound

    result = _play(loaded, out, note=note, **options)
    with sound(result.path, "the summary"):
        said = repr(result.summary())
    out_console.print(said, markup=False)
    out_console.print(
        f"\nrecorded in {result.path}\nfigures:    fedstake report {result.path}", markup=False
    )


def _play(
    loaded: Scenario, out: Path | None, *, yes: bool, note: Note, **options: Any
) -> RunResult:
    """Play a scenario with a progress bar, unless it was recorded before; `note` in which round."""
    from experiments.runner import run as run_scenario

    begun: list[RunView] = []

    def on_start(view: RunView) -> None:
        from experiments.cost import announcement, expected_cpu_s

        begun.append(view)
        confirm(announcement(expected_cpu_s(view.world), 0.0, duration), yes)
        on_round(view)
        if view.round_index:
            err_console.print(
                f"{loaded.name}: goes on from round {view.round_index + 1} of {loaded.rounds}",
                markup=False,
            )

    def on_round(view: RunView) -> None:
        note(f"round {min(view.round_index + 1, loaded.rounds)}")

    result = run_scenario(
        loaded, out, on_start=on_start, on_round=on_round, progress=True, **options
    )
    if not begun:
        out_console.print("already recorded; --force runs it again")
    return result


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(run)
