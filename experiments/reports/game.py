"""The report of a game: the answer, the figure that shows it, tables, all other figures."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pandas as pd
import tomli_w

from experiments.figures import game_figures
from experiments.figures.base import SCREEN, Look, style
from experiments.figures.game_basins import mix_in_words, unbroken
from experiments.games.record import RecordedGame, Stage, portable
from experiments.games.solution import Solution, learning_text
from experiments.games.table import Table, frame
from experiments.numerals import compact, how_many, plain, with_interval
from experiments.reports.drawing import Wanted, apart, check_figures, draw_all
from experiments.reports.page import Gallery, Section, page
from experiments.rundir import write_file

ROWS = 200
"""Rows of a table on the page; the CSV has all."""
SHOWING = ("deviations", "flow", "basins")
"""Figures that show an answer, the first that is there beside it."""


def report_game(
    game: RecordedGame,
    target: Path,
    command: list[str],
    want: Wanted,
    on_figure: Callable[[int], None] | None = None,
    on_missing: Callable[[str], None] | None = None,
) -> Path:
    """Write the figures and `report.html` of a game into a folder that is there.

    Figures that do not apply to it are left out.
    """
    figures = game_figures()
    check_figures(want, [figure.name for figure in figures])
    looks = {False: Look(width=want.width), True: Look(width=SCREEN, stacked=True)}
    solution = game.solution
    with style():
        gallery = draw_all(
            figures,
            lambda figure: figure.data(solution),
            lambda figure, table, small: figure.draw(table, looks[small]),
            target,
            want,
            command,
            on_figure,
            on_missing,
        )
    parts = _parts(game, solution, gallery)
    write_file(target / "report.html", page(game.spec.name, _subtitle(game), parts))
    return target / "report.html"


def _parts(game: RecordedGame, solution: Solution, gallery: Gallery) -> list[Section | Gallery]:
    """Return the parts of the page in their order."""
    first, others = apart(gallery, SHOWING)
    return [
        Section("Answer", lines=tuple(_answer(game, solution))),
        first,
        *_tables(solution),
        others,
        _payoffs(game.table),
        Section("Game", pre=tomli_w.dumps(portable(game.spec))),
    ]


def _subtitle(game: RecordedGame) -> str:
    """Return the players and strategies of each role."""
    parts = []
    for role in game.table.game.roles:
        players = how_many(role.players, "player")
        strategies = f"{len(role.strategies)} strateg{'y' if len(role.strategies) == 1 else 'ies'}"
        parts.append(f"{role.name}: {players}, {strategies}")
    return " · ".join([*parts, how_many(len(game.table.game.profiles), "profile")])


# --- the answer -----------------------------------------------------------------------------------


def _answer(game: RecordedGame, solution: Solution) -> Iterator[str]:
    """Yield whether honesty holds, how sure that is, and where the game ends."""
    yield f"{solution.verdict}."
    yield _how_sure(game.table, solution)
    if game.stages:
        yield _spent(game, solution)
    yield _ends(solution)
    if solution.learned is not None:
        text = learning_text(solution)
        yield f"{text[0].upper()}{text[1:]}."


def _how_sure(table: Table, solution: Solution) -> str:
    """Return what the answer rests on."""
    if not table.runs:
        return "Payoffs are taken as exact."
    seeds = table.seeds[table.seeds > 0]
    least, most = int(seeds.min()), int(seeds.max())
    each = how_many(most, "seed") if least == most else f"{least:,} to {most:,} seeds"
    rests = f"This rests on {how_many(table.runs, 'run')}: {each} of each profile."
    if not table.uncertain:
        return f"{rests} How much they differ is not known."
    level = 100 * solution.settings.level
    return f"{rests} Intervals of {level:.4g} % hold for all strategies together (bootstrap)."


def _spent(game: RecordedGame, solution: Solution) -> str:
    """Return how the runs of an estimate were spent."""
    first, *later = game.stages
    text = f"The first {how_many(_runs([first]), 'run')} gave every profile {first.seeds:,} seeds"
    if later:
        where = "went to the profiles that kept the answer open"
        stages = how_many(len(later), "stage")
        text = f"{text}; {_runs(later):,} more in {stages} {where}"
    simulated = game.spec.simulated
    open_still = solution.honesty is not None and not solution.honesty.decided
    if simulated is None or not open_still:
        return f"{text}."
    left = simulated.runs - _runs(game.stages)
    more = "more runs could decide it (simulated.runs)"
    return f"{text}. The budget is spent; {more}." if left <= 0 else f"{text}; {more}."


def _runs(stages: Sequence[Stage]) -> int:
    return sum(stage.profiles * stage.seeds for stage in stages)


def _ends(solution: Solution) -> str:
    """Return how many equilibria there are, and what they are worth."""
    prices = solution.prices
    if not solution.found:
        return f"No equilibrium was found ({solution.search})."
    count = f"{len(solution.found)} {solution.alike}"
    if len(solution.found) == 1:
        count = count.replace("equilibria", "equilibrium")
    between = compact(prices.worst)
    if prices.best - prices.worst > 1e-9 * solution.game.spread:
        between = f"{compact(prices.worst)} to {compact(prices.best)}"
    worth = f"with a welfare of {between}, of {compact(prices.optimum)} at best"
    return f"{count[0].upper()}{count[1:]}, {worth}. Searched by: {solution.search}."


# --- tables ---------------------------------------------------------------------------------------


def _tables(solution: Solution) -> Iterator[Section]:
    """Yield what the answer rests on."""
    gains = solution.gains_frame()
    if len(gains):
        ends = gains.rename(columns={"low": "gain_low", "high": "gain_high"})
        shown = ends[["strategy"]].assign(gain=with_interval(ends, "gain"))
        honest = " and ".join(solution.settings.honest)
        note = f"Payoff of one player that leaves {honest}, less what it is paid there. gains.csv"
        yield Section("Gains", shown.head(ROWS), note=note)
    if solution.found:
        heading = f"{solution.alike[0].upper()}{solution.alike[1:]}"
        yield Section(heading, _equilibria(solution).head(ROWS), legend=LEGEND)
    yield Section("Prices of anarchy and stability", _prices(solution), note=PRICES)
    ranking = solution.ranking_frame()
    if len(ranking):
        settings = solution.settings
        note = (
            f"Alpha-rank: share of time that a population of {settings.population:,} spends with "
            f"each, at an intensity of {settings.intensity:g} / spread of payoffs. ranking.csv"
        )
        yield Section("Long run of a finite population", ranking.head(ROWS), note=note)
    stable = solution.stable_frame()
    if len(stable):
        note = "Profiles that no single player gains by leaving. stable.csv"
        yield Section("Stable profiles", stable.head(ROWS), note=note)


LEGEND = {
    "regret": "what one player gains at most by another strategy",
    "regret at most": "the upper end of its interval",
    "stability": "whether the replicator dynamics comes back to it",
    "basin": "share of random starts that end there",
    "payoff": "of a player",
    "welfare": "sum of all payoffs",
}
PRICES = (
    "Welfare of the best profile over that of the worst and of the best equilibrium; none where a "
    "welfare is not above 0, where only what is lost has a meaning."
)


def _equilibria(solution: Solution) -> pd.DataFrame:
    """Return a row for each equilibrium, its mix in words."""
    found = solution.equilibria_frame()
    mixes = [unbroken(mix_in_words(solution.game, e.mix)) for e in solution.found]
    kept = found[[c for c in found.columns if not c.startswith("share:")]]
    kept.insert(0, "mix", mixes)
    names = {"regret_high": "regret at most"}
    if len(solution.game.roles) == 1:
        names[f"payoff:{solution.game.roles[0].name}"] = "payoff"
    return kept.rename(columns=names)


def _prices(solution: Solution) -> pd.DataFrame:
    """Return the prices, a row each."""
    row = solution.prices_frame().iloc[0]
    return pd.DataFrame(
        {
            "": [name.replace("_", " ") for name in row.index],
            "value": [plain(value) if value == value else "–" for value in row],
        }
    )


def _payoffs(table: Table) -> Section:
    """Return the payoff table."""
    shown = frame(table)
    note = "Data: payoffs.csv."
    if len(shown) > ROWS:
        note = f"The first {ROWS} of {len(shown):,} profiles; payoffs.csv has all."
    return Section("Payoffs", shown.head(ROWS), note=note)
