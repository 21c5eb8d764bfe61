"""`fedstake run`: play one scenario and record it."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from experiments.terminal import (
    DataOption,
    DebugOption,
    YesOption,
    confirm,
    duration,
    err_console,
    one_line_errors,
    out_console,
    progress,
    show,
)

if TYPE_CHECKING:
    from experiments.rundir import RunResult
    from experiments.terminal import Tell
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
        str, typer.Argument(help="A TOML file, or a preset (fedstake list scenarios).")
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
        result = _play(
            loaded,
            out,
            data=data,
            checkpoint_every=checkpoint_every,
            keep_state=keep_state,
            extend=extend,
            force=force,
            yes=yes,
        )
        _show(result, loaded)


def _play(loaded: Scenario, out: Path | None, *, yes: bool, **options: Any) -> RunResult:
    """Play a scenario with a progress bar, unless it was recorded before."""
    from experiments.cost import announcement, expected_cpu_s
    from experiments.runner import run as run_scenario

    played: list[int] = []
    with contextlib.ExitStack() as bar:
        report_done: Tell

        def on_start(world: Any) -> None:
            nonlocal report_done
            confirm(announcement(expected_cpu_s(world), 0.0, duration), yes)
            report_done = bar.enter_context(progress(loaded.name, loaded.rounds))
            report_done.begin(world.round_index)
            if world.round_index:
                err_console.print(
                    f"{loaded.name}: goes on from round {world.round_index + 1} of {loaded.rounds}",
                    markup=False,
                )

        def on_round(world: Any) -> None:
            played.append(world.round_index)
            report_done(world.round_index)

        result = run_scenario(loaded, out, on_start=on_start, on_round=on_round, **options)
    if not played:
        out_console.print("already recorded; --force runs it again")
    return result


def _show(result: RunResult, loaded: Scenario) -> None:
    """Print what a run came to, and where it is."""
    from experiments.numerals import rounded
    from experiments.reports.run import incomes, summary

    show(summary(result).rename(columns={"value": " "}), f"{loaded.name}, seed {loaded.seed}")
    table = incomes(result)
    if not table.empty:
        out_console.print()
        unit = result.settings["payout"]["asset"]
        show(rounded(table), f"utility per device ({unit})")
    out_console.print(
        f"\nrecorded in {result.path}\nfigures:    fedstake report {result.path}", markup=False
    )


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(run)
