"""Payoff tables with their uncertainty: read from and written to CSV, resampled, exported."""

from __future__ import annotations

import csv
import io
import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import chdtri

from experiments.games.game import Game, GameError, Role, profiles_of
from fedstake.outside import RECORD_BYTES, read_text, shown

COUNT, PAYOFF, SPREAD, SEEDS = "count:", "payoff:", "sd:", "seeds"
"""Columns of a file: `count:S` and `payoff:S` of each strategy S, `sd:S` and `seeds` if known."""
MOST_NFG = 500_000
"""Numbers in a file of Gambit's, at most."""
CHANCES = np.linspace(1.0, 0.0, 513)[1:-1]
"""Upper tail probabilities at which chi-squared is tabulated."""
LARGEST = 1e100
"""Payoffs are between minus this and this: sums of larger ones overflow."""
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9 ._-]{0,39}(/[A-Za-z0-9][A-Za-z0-9 ._-]{0,39})?")


@dataclass(frozen=True)
class Table:
    """A game whose payoffs are means over seeds.

    Args:
        game: the means.
        errors: standard errors `float64[m, S]` of the payoffs; NaN where they are not known.
        seeds: how many each profile has, `int64[m]`; 0: not known.
        samples: by profile the payoffs of each seed, `float64[seeds, S]`, where runs are at hand:
            what they have in common (a good seed) is kept when they are drawn again.
    """

    game: Game
    errors: NDArray[np.float64]
    seeds: NDArray[np.int64]
    samples: Mapping[int, NDArray[np.float64]]

    @property
    def uncertain(self) -> bool:
        """Whether anything is known of how far off the payoffs may be."""
        return bool(np.isfinite(self.errors).any())

    @property
    def runs(self) -> int:
        """Runs that it rests on; 0: not known."""
        return int(self.seeds.sum())

    def resampled(self, rng: np.random.Generator) -> Game:
        """Return the game with payoffs drawn again; what has no error stays.

        Where the payoffs of seeds are at hand, every seed gets a weight, the same in all profiles:
        what a seed does to several profiles at once stays together (multiplier bootstrap). Few
        seeds count as few: deviations are drawn from Student's distribution, not the normal one.
        Elsewhere payoffs are drawn from normal distributions with the standard errors.
        """
        payoffs = self.game.payoffs + rng.standard_normal(self.errors.shape) * np.nan_to_num(
            self.errors
        )
        most = max((len(drawn) for drawn in self.samples.values()), default=0)
        weights, chance = rng.standard_normal(most), rng.random()
        for row, drawn in self.samples.items():
            n = len(drawn)
            if n > 1:
                centre = self.game.payoffs[row]
                moved = weights[:n] @ (drawn - centre) / math.sqrt(n * (n - 1))
                payoffs[row] = centre + _widening(n, chance) * moved
        return Game(self.game.roles, payoffs)


@cache
def _ends(n: int) -> NDArray[np.float64]:
    """Return sqrt((n - 1) / chi-squared of n - 1) at `CHANCES`, `float64[...]`."""
    return np.sqrt((n - 1) / chdtri(n - 1, CHANCES))


def _widening(n: int, chance: float) -> float:
    """Return the factor that makes a normal deviation of n values Student's, at a chance in 0..1.

    The larger the chance, the less it widens.
    """
    return float(np.interp(chance, 1 - CHANCES, _ends(n)))


def certain(game: Game) -> Table:
    """Return the table of a game that is known exactly."""
    m = len(game.profiles)
    return Table(game, np.full(game.profiles.shape, np.nan), np.zeros(m, dtype=np.int64), {})


def of_samples(roles: Sequence[Role], samples: Mapping[tuple[int, ...], NDArray[Any]]) -> Table:
    """Return the table of the payoffs of each seed, `float64[seeds, S]`, by profile of counts."""
    profiles = profiles_of(roles)
    payoffs = np.full(profiles.shape, np.nan)
    errors, seeds = payoffs.copy(), np.zeros(len(profiles), dtype=np.int64)
    found = {}
    for row, counts in enumerate(profiles.tolist()):
        drawn = samples.get(tuple(counts))
        if drawn is None or not len(drawn):
            continue
        played = np.where(profiles[row] > 0, drawn, np.nan)
        payoffs[row] = played.mean(axis=0)
        seeds[row] = len(drawn)
        found[row] = played
        if len(drawn) > 1:
            errors[row] = played.std(axis=0, ddof=1) / math.sqrt(len(drawn))
    return Table(Game(roles, payoffs), errors, seeds, found)


# --- CSV ----------------------------------------------------------------------------------------


def read_csv(path: str | Path) -> Table:
    """Read a payoff table; raise `GameError` naming file, line and what would be right.

    One line a profile: `count:S` players of each strategy S, who are paid `payoff:S` each; empty
    where nobody plays it. Strategies of several roles are called `role/strategy`. `sd:S` is the
    standard deviation of the payoff over so many `seeds`. Profiles that are missing are not known.
    """
    name = shown(path)
    rows = _lines(path)
    columns = [*rows[0]]
    strategies = [c.removeprefix(COUNT) for c in columns if c and c.startswith(COUNT)]
    _check_columns(name, columns, strategies)
    counts = [[_whole(name, i, row, COUNT + s) for s in strategies] for i, row in enumerate(rows)]
    roles, order = _roles(name, strategies, counts)
    profiles = profiles_of(roles)
    places = {tuple(row): i for i, row in enumerate(profiles.tolist())}
    payoffs = np.full(profiles.shape, np.nan)
    errors, seeds = payoffs.copy(), np.zeros(len(profiles), dtype=np.int64)
    seen: dict[int, int] = {}
    for i, row in enumerate(rows):
        profile = tuple(counts[i][s] for s in order)
        at = places.get(profile)
        if at is None:
            raise GameError(f"{name}: line {i + 2}: has other numbers of players than line 2")
        if at in seen:
            raise GameError(f"{name}: line {i + 2}: is the profile of line {seen[at]} again")
        seen[at] = i + 2
        cells = [*zip([strategies[s] for s in order], profile, strict=True)]
        payoffs[at] = [_number(name, i, row, PAYOFF + s, c) for s, c in cells]
        spreads = any(SPREAD + s in row for s, _ in cells)
        if not spreads and SEEDS not in row:
            continue
        seeds[at] = _whole(name, i, row, SEEDS)
        if seeds[at] < (2 if spreads else 1):
            least = "2, of which there is a standard deviation" if spreads else "1"
            place = f"{name}: line {i + 2}: {SEEDS} = {seeds[at]}"
            raise GameError(f"{place}: must be at least {least}")
        if spreads:
            spread = np.array([_number(name, i, row, SPREAD + s, c) for s, c in cells])
            if (spread < 0).any():
                raise GameError(f"{name}: line {i + 2}: a standard deviation is below 0")
            errors[at] = spread / math.sqrt(seeds[at])
    return Table(Game(roles, payoffs), errors, seeds, {})


def _lines(path: str | Path) -> list[dict[str, str | None]]:
    """Return the lines of a CSV file by name of column, one at least."""
    name = shown(path)
    try:
        rows = [*csv.DictReader(io.StringIO(read_text(path, RECORD_BYTES)))]
    except FileNotFoundError:
        raise GameError(f"{name}: no such file") from None
    except csv.Error as error:
        raise GameError(f"{name}: is no CSV file ({error})") from None
    if not rows:
        raise GameError(f"{name}: has no lines: one with names of columns, then one a profile")
    return rows


def _check_columns(name: str, columns: Sequence[str | None], strategies: Sequence[str]) -> None:
    if len(columns) == 1 and ";" in str(columns[0]):
        raise GameError(f"{name}: columns must be separated by commas, not by semicolons")
    if not strategies:
        raise GameError(f"{name}: has no columns count:STRATEGY and payoff:STRATEGY")
    for strategy in strategies:
        if not NAME.fullmatch(strategy):
            raise GameError(f"{name}: count:{strategy}: must name a strategy, or role/strategy")
        if PAYOFF + strategy not in columns:
            raise GameError(f"{name}: has count:{strategy}, and no column payoff:{strategy}")
    for column, number in Counter(columns).items():
        known = column == SEEDS or any(
            column == kind + s for kind in (COUNT, PAYOFF, SPREAD) for s in strategies
        )
        if not known or number > 1:
            expected = ", ".join(f"{kind}STRATEGY" for kind in (COUNT, PAYOFF, SPREAD))
            raise GameError(f"{name}: column {column!r}: must be one of {expected} or {SEEDS}")


def _roles(
    name: str, strategies: Sequence[str], counts: Sequence[Sequence[int]]
) -> tuple[list[Role], list[int]]:
    """Return the roles of a file, and its strategies in the order of the roles, by their place."""
    by_role: dict[str, list[int]] = {}
    for at, strategy in enumerate(strategies):
        role, sign, _ = strategy.rpartition("/")
        by_role.setdefault(role if sign else "player", []).append(at)
    if len({("/" in s) for s in strategies}) > 1:
        raise GameError(f"{name}: some strategies have a role in front, and some have not")
    roles = []
    for role, places in by_role.items():
        players = sum(counts[0][at] for at in places)
        own = tuple(strategies[at].rpartition("/")[2] for at in places)
        roles.append(Role(role, players, own))
    return roles, [at for places in by_role.values() for at in places]


def _whole(name: str, i: int, row: Mapping[str, str | None], column: str) -> int:
    text = (row.get(column) or "").strip()
    if not re.fullmatch(r"[0-9]{1,6}", text):
        raise GameError(f"{name}: line {i + 2}: {column} = {text!r}: must be 0, 1, 2, ...")
    return int(text)


def _number(name: str, i: int, row: Mapping[str, str | None], column: str, count: int) -> float:
    text = (row.get(column) or "").strip()
    if not count and text and column.startswith(PAYOFF):
        place = f"{name}: line {i + 2}: {column} = {text!r}"
        raise GameError(f"{place}: must be empty, nobody plays it")
    if not count or not text:
        return math.nan
    try:
        value = float(text)
    except ValueError:
        value = math.inf
    if not abs(value) <= LARGEST:
        raise GameError(f"{name}: line {i + 2}: {column} = {text!r}: must be a finite number")
    return value


def frame(table: Table) -> pd.DataFrame:
    """Return a payoff table as `read_csv` reads it, one row a profile that is known."""
    game = table.game
    known = np.isfinite(np.where(game.profiles > 0, game.payoffs, 0.0)).all(axis=1)
    columns: dict[str, Any] = {}
    for at, name in enumerate(game.names):
        columns[COUNT + name] = game.profiles[:, at]
    for at, name in enumerate(game.names):
        columns[PAYOFF + name] = game.payoffs[:, at]
    if table.uncertain:
        for at, name in enumerate(game.names):
            columns[SPREAD + name] = table.errors[:, at] * np.sqrt(table.seeds)
    if table.seeds.any():
        columns[SEEDS] = table.seeds
    return pd.DataFrame(columns).iloc[np.flatnonzero(known)].reset_index(drop=True)


def samples_frame(table: Table) -> pd.DataFrame:
    """Return the payoffs of each seed as `read_samples` reads them, a row a profile and seed."""
    names = table.game.names
    parts = []
    for row, drawn in sorted(table.samples.items()):
        counts = dict(zip((COUNT + name for name in names), table.game.profiles[row], strict=True))
        paid = pd.DataFrame(drawn, columns=[PAYOFF + name for name in names])
        parts.append(pd.DataFrame(counts, index=paid.index).join(paid))
    return pd.concat(parts, ignore_index=True)


def read_samples(path: str | Path, game: Game) -> Table:
    """Return the table of a file with the payoffs of each seed; roles and strategies are known.

    Lines of one profile are in the order of its seeds. Raises `GameError` naming file, line and
    what would be right.
    """
    name = shown(path)
    rows = _lines(path)
    wanted = [kind + s for kind in (COUNT, PAYOFF) for s in game.names]
    if [*rows[0]] != wanted:
        raise GameError(f"{name}: must have the columns {', '.join(wanted)}")
    samples: dict[tuple[int, ...], list[list[float]]] = {}
    for i, row in enumerate(rows):
        counts = [_whole(name, i, row, COUNT + s) for s in game.names]
        if np.array(counts, dtype=np.int64).tobytes() not in game.rows:
            raise GameError(f"{name}: line {i + 2}: has other numbers of players")
        cells = zip(game.names, counts, strict=True)
        paid = [_number(name, i, row, PAYOFF + s, count) for s, count in cells]
        samples.setdefault(tuple(counts), []).append(paid)
    return of_samples(game.roles, {counts: np.array(paid) for counts, paid in samples.items()})


# --- Gambit -------------------------------------------------------------------------------------


def to_nfg(game: Game, title: str) -> str:
    """Return the game in Gambit's strategic form (.nfg, payoff version): each player by itself.

    Raises `GameError` for games of too many pure profiles, and for payoffs that are not known.
    """
    players = [i for i, role in enumerate(game.roles) for _ in range(role.players)]
    sizes = [len(game.roles[i].strategies) for i in players]
    numbers = math.prod(sizes) * len(players)
    if numbers > MOST_NFG:
        raise GameError(
            f"{numbers:,} payoffs are too many for .nfg, at most {MOST_NFG:,}: it names every "
            "player; write the table as CSV"
        )
    labels = " ".join(f'"{game.roles[i].name} {at + 1}"' for at, i in enumerate(players))
    each = [" ".join(f'"{s}"' for s in game.roles[i].strategies) for i in players]
    strategies = "\n".join(f"{{ {names} }}" for names in each)
    words = title.replace('"', "'")
    lines = [f'NFG 1 R "{words}" {{ {labels} }}', f"{{ {strategies} }}", '""', ""]
    starts = [part.start for part in game.parts]
    values = []
    # The first player's strategy changes fastest.
    for chosen in np.ndindex(*reversed(sizes)):
        own = [starts[i] + s for i, s in zip(players, reversed(chosen), strict=True)]
        counts = np.bincount(own, minlength=game.size)
        paid = game.payoff(counts.tolist())[own]
        if not np.isfinite(paid).all():
            raise GameError("some payoffs are not known: .nfg needs all of them")
        values.append(" ".join(f"{value:.17g}" for value in paid.tolist()))
    return "\n".join([*lines, *values, ""])


# --- players apart ------------------------------------------------------------------------------


@dataclass(frozen=True)
class Apart(Table):
    """A table in which every player is a role of its own; drawn again as the one it is made of."""

    source: Table

    @property
    def runs(self) -> int:
        return self.source.runs

    def resampled(self, rng: np.random.Generator) -> Game:
        return separate(self.source.resampled(rng))


def apart(table: Table) -> Table:
    """Return the table with a role for each player; the same one where each role has one player."""
    game = table.game
    if all(role.players == 1 for role in game.roles):
        return table
    alone = separate(game)
    errors = separate(Game(game.roles, table.errors)).payoffs
    seeds = np.array([table.seeds[game.rows[row.tobytes()]] for row in _together(game, alone)])
    return Apart(alone, errors, seeds, {}, table)


def separate(game: Game) -> Game:
    """Return the game in which every player is a role of its own: `player 1`, `player 2`, ..."""
    roles = [
        Role(role.name if role.players == 1 else f"{role.name} {at + 1}", 1, role.strategies)
        for role in game.roles
        for at in range(role.players)
    ]
    alone = Game(roles, np.full(profiles_of(roles).shape, np.nan))
    together = _together(game, alone)
    own = _strategies(game)
    paid = game.payoffs[[game.rows[row.tobytes()] for row in together]][:, own]
    return Game(roles, np.where(alone.profiles > 0, paid, np.nan))


def names_apart(game: Game, names: Sequence[str]) -> tuple[str, ...]:
    """Return strategies, one for each role, as those of every player of `separate`."""
    alone = separate(game)
    chosen = [game.names.index(name) for name in names]
    return tuple(n for n, s in zip(alone.names, _strategies(game), strict=True) if s in chosen)


def _strategies(game: Game) -> list[int]:
    """Return for each strategy of `separate` the number of the strategy that it is in the game."""
    places = zip(game.roles, game.parts, strict=True)
    parts = [part for role, part in places for _ in range(role.players)]
    return [s for part in parts for s in range(part.start, part.stop)]


def _together(game: Game, alone: Game) -> NDArray[np.int64]:
    """Return the counts in the game of each profile of `separate`, `int64[m, S]`."""
    counts = np.zeros((len(alone.profiles), game.size), dtype=np.int64)
    for at, strategy in enumerate(_strategies(game)):
        counts[:, strategy] += alone.profiles[:, at]
    return counts


# --- fewer players ------------------------------------------------------------------------------


def full_profile(counts: Sequence[int], strategy: int, players: int) -> list[int]:
    """Return the profile of `players` that stands for a reduced profile seen by one strategy.

    Deviation-preserving reduction (Wiedenbeck and Wellman 2012): who plays `strategy` stands for
    itself, each of the other p - 1 reduced players for (n - 1) / (p - 1) players. Raises
    `GameError` unless p - 1 divides n - 1.
    """
    reduced = sum(counts)
    if reduced < 2 or (players - 1) % (reduced - 1):
        options = [p for p in range(2, players + 1) if (players - 1) % (p - 1) == 0]
        raise GameError(f"{players} players reduce to {', '.join(map(str, options))} players")
    each = (players - 1) // (reduced - 1)
    full = [each * count for count in counts]
    full[strategy] = 1 + each * (counts[strategy] - 1)
    return full
