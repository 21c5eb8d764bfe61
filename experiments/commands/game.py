"""`fedstake game`: whether honesty holds in a game, its equilibria, and where it ends."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from experiments.console import err_console, out_console
from experiments.progress import progress
from experiments.terminal import DataOption, DebugOption, WorkersOption, one_line_errors, show

if TYPE_CHECKING:
    import pandas as pd

    from experiments.games.record import RecordedGame, Stage
    from experiments.games.solution import Solution
    from experiments.games.spec import GameSpec
    from experiments.games.table import Table


def game(
    source: Annotated[
        Path,
        typer.Argument(
            metavar="GAME",
            help="A game (TOML: a table, a matrix, or strategies in a scenario), or a payoff "
            "table (CSV).",
        ),
    ],
    out: Annotated[
        Path | None, typer.Option(help="Folder of runs and results [default: results/NAME].")
    ] = None,
    workers: WorkersOption = None,
    nfg: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write the game for Gambit, too.")
    ] = None,
    data: DataOption = None,
    debug: DebugOption = False,
) -> None:
    """Solve a game: does honesty hold, which equilibria are there, what do they cost.

    Payoffs of strategies in a scenario are estimated by runs; the same command goes on after a
    crash.

    Example: fedstake game lazy.toml
    """
    with one_line_errors(debug, str(source)):
        from experiments.games.record import RecordedGame, Stage
        from experiments.games.solution import solve
        from experiments.games.spec import check_honest, known_table, load_game
        from experiments.rundir import check_file

        spec = load_game(source)
        folder = out or Path("results") / spec.name
        if nfg is not None:
            check_file(nfg)
        table, stages, shares = known_table(spec), list[Stage](), None
        if table is None:
            table, stages, shares = _estimated(spec, folder, workers, data)
        check_honest(spec, table.game, str(source))
        solution = solve(table, spec.solve.settings())
        if shares is not None:
            solution = solution.with_learners(shares)
        _show(spec.name, solution)
        _write(RecordedGame(folder, spec, table, stages, solution), nfg)


def _estimated(
    spec: GameSpec, folder: Path, workers: int | None, data: Path | None
) -> tuple[Table, list[Stage], pd.DataFrame | None]:
    """Return payoffs that are estimated by runs, how these were spent, and what learners did."""
    from experiments.games.estimate import Estimate
    from experiments.games.learners import learning_sweep, play_learners
    from experiments.trials import player

    estimate = Estimate(spec, folder)
    play = player(workers=workers, data=data, progress=True)
    learns = estimate.simulated.learning is not None
    if learns:
        learning_sweep(estimate)  # what is wrong with it is told before anything is played
    table = estimate.run(play)
    shares = play_learners(estimate, play) if learns else None
    return table, estimate.stages, shares


def _show(name: str, solution: Solution) -> None:
    """Print the answer, then how sure it is, then the details."""
    from experiments.games.solution import learning_text
    from experiments.numerals import compact, rounded

    runs = solution.table.runs
    out_console.print(f"{name}: {solution.verdict}", markup=False)
    if runs:
        level = 100 * solution.settings.level
        out_console.print(
            f"{runs:,} runs; intervals: {level:.4g} % over all strategies together, bootstrap",
            markup=False,
        )
    gains = solution.gains_frame()
    if len(gains):
        out_console.print()
        names = " and ".join(solution.settings.honest)
        show(rounded(gains), f"what one player gains against {names}")
    out_console.print()
    found = solution.equilibria_frame()
    show(rounded(found), solution.alike, keys=0)
    out_console.print(f"searched by: {solution.search}", markup=False)
    if not solution.table.uncertain:
        out_console.print("payoffs are taken as exact", markup=False)
    if solution.learned is not None:
        out_console.print(f"\n{learning_text(solution)}", markup=False)
    prices = solution.prices
    out_console.print(
        f"\nwelfare: at best {compact(prices.optimum)}, in equilibrium {compact(prices.worst)} to "
        f"{compact(prices.best)}{_prices(prices.anarchy, prices.stability)}",
        markup=False,
    )
    ranking = solution.ranking_frame()
    if len(ranking):
        out_console.print()
        show(rounded(ranking.head(10)), "long run of a finite population (alpha-rank)")


def _prices(anarchy: float, stability: float) -> str:
    """Return the prices in words; they have no meaning where a welfare is not above 0."""
    from experiments.numerals import compact

    if anarchy != anarchy:
        return "; no price of anarchy, because a welfare is not above 0"
    return f"; price of anarchy {compact(anarchy)}, of stability {compact(stability)}"


def _write(recorded: RecordedGame, nfg: Path | None) -> None:
    """Write the game and its report, and the game for Gambit where it is asked for."""
    from experiments.figures import game_figures
    from experiments.games.record import write_game
    from experiments.games.table import to_nfg
    from experiments.reports import report
    from experiments.rundir import write_file

    write_game(recorded)
    if nfg is not None:
        write_file(nfg, to_nfg(recorded.table.game, recorded.spec.name))
    missing: list[str] = []
    with progress("report", len(game_figures())) as report_done:
        page = report(recorded, on_figure=report_done, on_missing=missing.append)
    for line in missing:
        err_console.print(f"fedstake: {line}", markup=False)
    out_console.print(f"\nwritten to {recorded.folder}; {page} shows it", markup=False)


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(game)
