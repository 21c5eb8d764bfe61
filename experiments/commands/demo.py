"""`fedstake demo`: a small end-to-end example."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from experiments.console import out_console
from experiments.progress import counted, progress
from experiments.terminal import EXIT_FAILED, DebugOption, WorkersOption, one_line_errors, show

if TYPE_CHECKING:
    from experiments.demo import Attacked, Outcome


def demo(
    out: Annotated[
        Path, typer.Option(help="Folder of the sweep, its tables and its report.")
    ] = Path("results/demo"),
    seeds: Annotated[int, typer.Option(min=1, help="Seeds per cell.")] = 3,
    workers: WorkersOption = None,
    replay: Annotated[
        bool,
        typer.Option("--replay/--no-replay", help="Repeat the winner on both bundled chains."),
    ] = True,
    debug: DebugOption = False,
) -> None:
    """A small end-to-end example: compare mechanisms under attack, replay the winner on chains.

    It plays on real digits and writes a scorecard and a report. A Substrate runtime books what the
    winner paid; on an EVM its contract computes it, or that of the best mechanism which has one.

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
        if replay and outcome.name in outcome.worst:
            _replay_winner(outcome.worst[outcome.name])
            _play_on_evm(outcome)
            _say(f"the winner with its replays: fedstake report {outcome.worst[outcome.name].path}")


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


def _replay_winner(winner: Attacked) -> None:
    """Repeat the winner's run on the bundled dev chain and print the books."""
    from chain_bridge import Options, replay_run
    from experiments.commands.replay import show_replay

    _say(
        f"The winner under its worst attack ({winner.attack}), repeated on a real Substrate "
        "runtime, on which every device signs what it pays with a key of its own:"
    )
    with progress("replay", 1) as report_done:
        done = replay_run(winner.path, Options(), on_batch=report_done.of)
    show_replay(done)
    if not done.books.agrees:
        raise typer.Exit(EXIT_FAILED)


def _play_on_evm(outcome: Outcome) -> None:
    """Play the best mechanism that has a contract on an EVM and print the books."""
    from chain_bridge import PlanError
    from experiments.evm_replay import options_of, replay_on_evm

    try:
        options = options_of(None, 60.0, allow_endpoint=False)
    except PlanError as error:  # its packages are an extra
        _say(f"Not played on an EVM: {error}")
        return
    found = _with_contract(outcome)
    if found is None:
        _say("Not played on an EVM: no contract plays any of these mechanisms.")
        return
    name, contract = found
    chosen = outcome.worst[name]
    computes = f"played on an EVM, where contract {contract} computes what is paid:"
    if name == outcome.name:
        _say(f"The same run {computes}")
    else:
        _say(
            f"No contract plays {outcome.name}. The best of the ranking that has one is {name}, "
            f"here under its worst attack ({chosen.attack}), {computes}"
        )
    replay_on_evm(chosen.path, options, chosen.path / "replay-evm", dry_run=False)
    if name != outcome.name:
        _say(f"{name} with its replay: fedstake report {chosen.path}")


def _with_contract(outcome: Outcome) -> tuple[str, str] | None:
    """Return the best mechanism that a contract plays, and the contract; None where none does."""
    from chain_bridge.evm.adapters import contract_of
    from experiments.runresult import open_run

    for name, attacked in outcome.worst.items():
        contract = contract_of(open_run(attacked.path).settings)
        if contract:
            return name, contract
    return None


def _say(text: str) -> None:
    out_console.print(f"\n{text}\n", markup=False)


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(demo)
