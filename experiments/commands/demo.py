"""`fedstake demo`: a small end-to-end example."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from experiments.console import out_console
from experiments.progress import counted, progress
from experiments.terminal import EXIT_FAILED, DebugOption, WorkersOption, one_line_errors, show

if TYPE_CHECKING:
    from experiments.demo import Outcome


def demo(
    out: Annotated[
        Path, typer.Option(help="Folder of the sweep, its tables and its report.")
    ] = Path("results/demo"),
    seeds: Annotated[int, typer.Option(min=1, help="Seeds per cell.")] = 3,
    workers: WorkersOption = None,
    replay: Annotated[
        bool,
        typer.Option("--replay/--no-replay", help="Repeat the winner on the bundled dev chain."),
    ] = True,
    debug: DebugOption = False,
) -> None:
    """A small end-to-end example: compare mechanisms under attack, replay the winner on a chain.

    It plays on real digits and writes a scorecard and a report.

    Example: fedstake demo --seeds 5
    """
    with one_line_errors(debug):
        from experiments.demo import play, prepare

        prepared = prepare(out, seeds)
        with (
            prepared.ready(),
            counted("demo", len(prepared.todo), prepared.forecast()) as on_receipt,
        ):
            outcome = play(prepared, workers=workers, on_receipt=on_receipt)
        _show(outcome, out, seeds)
        if replay and outcome.worst:
            _replay_winner(*outcome.worst, out / "replay")


def _show(outcome: Outcome, out: Path, seeds: int) -> None:
    """Print the scorecard, the ranking, and what to do next."""
    from experiments.numerals import how_many, rounded

    show(
        rounded(outcome.table),
        f"mechanisms under attack on real digits, {how_many(seeds, 'seed')}, base units per device",
    )
    out_console.print()
    show(rounded(outcome.ranking), f"{outcome.title} (experiments/sweeps/demo.toml)")
    winner = f"winner:     fedstake run {outcome.winner}\n" if outcome.winner else ""
    out_console.print(
        f"\n{outcome.reading}\n\n"
        f"report:     {outcome.page}\n"
        f"scorecard:  {out / 'scorecard.csv'}\n"
        f"{winner}"
        f"one run:    fedstake report {outcome.example}\n"
        "next:       fedstake run digits-quick --set adversaries.0.count=6\n"
        "            fedstake list behaviours",
        markup=False,
    )


def _replay_winner(attack: str, winner: Path, folder: Path) -> None:
    """Repeat the winner's run on the bundled dev chain and print the books."""
    from chain_bridge import replay_run
    from experiments.commands.replay import show_replay

    out_console.print(
        f"\nThe winner under its worst attack ({attack}), repeated on a real Substrate runtime:\n",
        markup=False,
    )
    with progress("replay", 1) as report_done:
        done = replay_run(winner, out=folder, on_batch=report_done.of)
    show_replay(done)
    if not done.books.agrees:
        raise typer.Exit(EXIT_FAILED)


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(demo)
