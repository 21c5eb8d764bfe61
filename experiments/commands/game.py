"""`fedstake game`: whether honesty holds in a game, its equilibria, and where it ends."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from experiments.console import out_console
from experiments.progress import counted
from experiments.terminal import DataOption, DebugOption, one_line_errors, show

if TYPE_CHECKING:
    from experiments.games.solution import Solution
    from experiments.games.spec import GameSpec
    from experiments.games.table import Table
    from experiments.sweeps.drive import Sweep


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
    workers: Annotated[
        int | None, typer.Option(min=1, help="Processes [default: all cores].")
    ] = None,
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
        from experiments.games.solution import solve
        from experiments.games.spec import check_honest, known_table, load_game

        spec = load_game(source)
        folder = out or Path("results") / spec.name
        table = known_table(spec) or _estimated(spec, folder, workers, data)
        check_honest(spec, table.game, str(source))
        solution = solve(table, spec.solve.settings())
        _show(spec.name, solution)
        _write(spec.name, folder, solution, nfg)


def _estimated(spec: GameSpec, folder: Path, workers: int | None, data: Path | None) -> Table:
    """Return payoffs that are estimated by runs."""
    from experiments.games.estimate import Estimate

    def play(sweep: Sweep) -> None:
        with (
            sweep.ready(),
            counted(sweep.spec.name, len(sweep.todo), sweep.forecast()) as on_receipt,
        ):
            sweep.play(workers=workers, data=data, on_receipt=on_receipt)

    return Estimate(spec, folder).run(play)


def _show(name: str, solution: Solution) -> None:
    """Print the answer, then how sure it is, then the details."""
    from experiments.numerals import rounded

    runs = int(solution.table.seeds.sum())
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
    show(rounded(found), "equilibria in which all play the same mix", keys=0)
    if not solution.table.uncertain:
        out_console.print("payoffs are taken as exact", markup=False)
    prices = solution.prices
    out_console.print(
        f"\nwelfare: at best {prices.optimum:.4g}, in equilibrium {prices.worst:.4g} to "
        f"{prices.best:.4g}{_prices(prices.anarchy, prices.stability)}",
        markup=False,
    )
    ranking = solution.ranking_frame()
    if len(ranking):
        out_console.print()
        show(rounded(ranking.head(10)), "long run of a finite population (alpha-rank)")


def _prices(anarchy: float, stability: float) -> str:
    """Return the prices in words; they have no meaning where a welfare is not above 0."""
    if anarchy != anarchy:
        return "; no price of anarchy, because a welfare is not above 0"
    return f"; price of anarchy {anarchy:.4g}, of stability {stability:.4g}"


def _write(name: str, folder: Path, solution: Solution, nfg: Path | None) -> None:
    """Write all frames, the payoff table, and the game for Gambit where it is asked for."""
    from experiments.games.table import frame, to_nfg
    from experiments.rundir import check_writable

    check_writable(folder)
    folder.mkdir(parents=True, exist_ok=True)
    frame(solution.table).to_csv(folder / "payoffs.csv", index=False)
    for title, table in solution.frames().items():
        table.to_csv(folder / f"{title}.csv", index=False)
    if nfg is not None:
        nfg.write_text(to_nfg(solution.game, name), encoding="utf-8")
    out_console.print(f"\nwritten to {folder}", markup=False)


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(game)
