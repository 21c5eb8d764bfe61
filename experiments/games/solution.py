"""What a game comes to: does honesty hold, where does it end, what does that cost."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from experiments.games import gambit
from experiments.games.dynamics import Ranking, alpha_rank, replicator, stability
from experiments.games.equilibria import (
    SAME,
    Efficiency,
    Equilibrium,
    efficiency,
    equilibria,
    stable_profiles,
)
from experiments.games.game import Game, GameError, Mix
from experiments.games.learning import Learned, learned
from experiments.games.table import Table, apart, names_apart
from experiments.numerals import compact

MOST_RANKED = 200
"""Joint strategies that are ranked, at most."""


@dataclass(frozen=True)
class Settings:
    """How a game is solved.

    Args:
        honest: the strategies, one for each role, whose profile is to hold.
        starts: random starts of the search for equilibria, and of the basins.
        population, intensity: of the finite population, intensity in 1 / the spread of payoffs.
        resamples: of the bootstrap.
        level: of intervals.
        tolerance: gain, as a share of the spread of payoffs, below which honesty holds.
        method: who searches for equilibria, "own" or "gambit": two to four players, each of which
            is then a role of its own.
    """

    honest: tuple[str, ...] = ()
    starts: int = 30
    population: int = 50
    intensity: float = 10.0
    resamples: int = 200
    level: float = 0.95
    tolerance: float = 0.0
    method: Literal["own", "gambit"] = "own"


@dataclass(frozen=True)
class Bound:
    """A number and its interval; NaN for both ends where nothing is known of its error."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Honesty:
    """What each strategy gains against the honest profile, in payoffs, and what follows of it."""

    table: Table
    settings: Settings
    gains: tuple[Bound, ...]

    @property
    def holds(self) -> bool:
        """Whether nobody gains by another strategy, by the means alone."""
        gain, _ = self._largest("value")
        return gain.value <= self._most

    @property
    def decided(self) -> bool:
        """Whether the intervals of the gains leave no doubt about `holds`."""
        if self.holds:
            possible, _ = self._largest("high")
            return not possible.high > self._most
        gain, _ = self._largest("value")
        return not self.table.uncertain or not gain.low <= self._most

    @property
    def verdict(self) -> str:
        """Return in one sentence whether honesty holds, and how sure that is."""
        names = " and ".join(self.settings.honest)
        stands = "is" if len(self.settings.honest) == 1 else "together are"
        if self.holds and self.decided:
            return f"{names} {stands} an equilibrium: nobody gains by another strategy"
        if self.holds:
            possible, deviation = self._largest("high")
            return (
                f"undecided: {names} {stands} an equilibrium of the means, and a gain of "
                f"{compact(possible.high)} by {deviation} is not excluded"
            )
        gain, deviation = self._largest("value")
        interval = ""
        if np.isfinite(gain.low):
            interval = f" ({compact(gain.low)} to {compact(gain.high)})"
        gains = f"{deviation} gains {compact(gain.value)}"
        if self.decided:
            return f"{names} {stands} no equilibrium: {gains}{interval}"
        return f"undecided: {gains} against {names}{interval}"

    @property
    def open(self) -> NDArray[np.bool_]:
        """Which strategies may gain, as far as the intervals say, `bool[S]`."""
        ends = [gain.value if np.isnan(gain.high) else gain.high for gain in self.gains]
        return np.array(ends) > self._most

    @property
    def _most(self) -> float:
        """The largest gain that still counts as none."""
        return self.settings.tolerance * self.table.game.spread

    def _largest(self, what: str) -> tuple[Bound, str]:
        """Return the gain with the largest value or upper end, and its strategy."""
        ends = np.nan_to_num([getattr(g, what) for g in self.gains], nan=-np.inf)
        best = int(np.argmax(ends))
        return self.gains[best], self.table.game.names[best]


@dataclass(frozen=True)
class Solution:
    """A solved game.

    Args:
        table: what was solved.
        settings: how.
        found: equilibria in which all players of a role play the same mix, best welfare first.
        regrets: of each the regret, with the interval of the bootstrap.
        basins: of each the share of random starts from which the replicator dynamics ends there;
            what is missing to 1 ends nowhere in time.
        stable: profiles of counts that no single player wants to leave, `int64[k, S]`.
        prices: welfare of the best profile and of equilibria.
        ranking: the long run of a finite population; None where that is not defined.
        honesty: whether the honest profile holds; None where none was named.
        search: how the equilibria were looked for, in words.
        learned: where learners end; None where none played.
    """

    table: Table
    settings: Settings
    found: tuple[Equilibrium, ...]
    regrets: tuple[Bound, ...]
    basins: tuple[float, ...]
    stable: NDArray[np.int64]
    prices: Efficiency
    ranking: Ranking | None
    honesty: Honesty | None
    search: str
    learned: Learned | None = None

    @property
    def game(self) -> Game:
        return self.table.game

    @property
    def honest(self) -> Mix | None:
        """The profile that is to hold; None where none was named."""
        return self.game.pure(self.settings.honest) if self.settings.honest else None

    @property
    def gains(self) -> tuple[Bound, ...]:
        """Of each strategy against the honest profile, in payoffs; empty without one."""
        return self.honesty.gains if self.honesty else ()

    @property
    def alike(self) -> str:
        """What kind of equilibria they are, in words."""
        if any(role.players > 1 for role in self.game.roles):
            return "equilibria in which all players of a role play the same mix"
        return "equilibria"

    @property
    def verdict(self) -> str:
        """Return in one sentence whether honesty holds, and how sure that is."""
        if self.honesty is None:
            found = f"{len(self.found)} equilibri{'um' if len(self.found) == 1 else 'a'}"
            return f"{found}; no profile was named that is to hold (honest, in [solve])"
        return self.honesty.verdict

    # --- frames -------------------------------------------------------------------------------

    def equilibria_frame(self) -> pd.DataFrame:
        """Return a row for each equilibrium: its mix, regret, stability, basin and payoffs."""
        rows = []
        for at, e in enumerate(self.found):
            row: dict[str, float | str] = {
                f"share:{name}": float(p) for name, p in zip(self.game.names, e.mix, strict=True)
            }
            regret = self.regrets[at]
            row |= {"regret": regret.value, "regret_high": regret.high}
            row["stability"] = stability(self.game, e.mix)
            row["basin"] = self.basins[at]
            paid = zip(self.game.roles, e.payoffs.tolist(), strict=True)
            row |= {f"payoff:{role.name}": value for role, value in paid}
            row["welfare"] = self.game.mixed_welfare(e.mix)
            rows.append(row)
        return pd.DataFrame(rows)

    def gains_frame(self) -> pd.DataFrame:
        """Return what each strategy gains against the honest profile, most first."""
        rows = [
            {"strategy": name, "gain": g.value, "low": g.low, "high": g.high}
            for name, g in zip(self.game.names, self.gains, strict=False)
        ]
        found = pd.DataFrame(rows, columns=["strategy", "gain", "low", "high"])
        return found.sort_values("gain", ascending=False, ignore_index=True)

    def stable_frame(self) -> pd.DataFrame:
        """Return the profiles that nobody wants to leave, with the welfare of each."""
        game = self.game
        found = pd.DataFrame(self.stable, columns=[f"count:{name}" for name in game.names])
        rows = [game.rows[row.tobytes()] for row in self.stable]
        return found.assign(welfare=game.welfare()[rows])

    def ranking_frame(self) -> pd.DataFrame:
        """Return the share of the long run of each strategy, or joint strategy, most first."""
        if self.ranking is None:
            return pd.DataFrame(columns=["strategy", "share"])
        game = self.game
        names = list(game.names)
        if len(game.roles) > 1:
            names = [
                " + ".join(name for name, played in zip(game.names, row, strict=True) if played)
                for row in game.profiles.astype(bool)
            ]
        found = pd.DataFrame({"strategy": names, "share": self.ranking.shares})
        return found.sort_values("share", ascending=False, ignore_index=True)

    def prices_frame(self) -> pd.DataFrame:
        """Return the welfare of the best profile and of equilibria, and the prices of anarchy."""
        p = self.prices
        row = {
            "optimum": p.optimum,
            "worst_equilibrium": p.worst,
            "best_equilibrium": p.best,
            "price_of_anarchy": p.anarchy,
            "price_of_stability": p.stability,
            "lost": p.lost,
        }
        return pd.DataFrame([row])

    def frames(self) -> dict[str, pd.DataFrame]:
        """Return all frames by name."""
        return {
            "equilibria": self.equilibria_frame(),
            "gains": self.gains_frame(),
            "stable": self.stable_frame(),
            "ranking": self.ranking_frame(),
            "prices": self.prices_frame(),
        }

    def with_learners(self, shares: pd.DataFrame) -> Solution:
        """Return this solution with what learners did beside it."""
        return replace(self, learned=learned(shares, self.game, [e.mix for e in self.found]))


def learning_text(solution: Solution) -> str:
    """Return where learners end, and how far that is from the solution."""
    seen = solution.learned
    assert seen is not None
    shares = zip(solution.game.names, seen.mix.tolist(), strict=True)
    mix = ", ".join(f"{name} {100 * share:.3g} %" for name, share in shares)
    gain = f"against it one player gains at most {compact(seen.regret)} by another strategy"
    if seen.nearest < 0:
        return f"learners end at {mix}; {gain}"
    return (
        f"learners end at {mix}; {gain}; the nearest equilibrium ({seen.nearest + 1}) is "
        f"{seen.distance:.3g} away (0 the same, 1 nothing in common)"
    )


def solve(table: Table, settings: Settings | None = None) -> Solution:
    """Solve a game.

    Raises `GameError` where payoffs are missing that it needs, and for games that its method does
    not solve.
    """
    settings = settings or Settings()
    game = table.game
    played = game.profiles > 0
    missing = int((~np.isfinite(game.payoffs) & played).any(axis=1).sum())
    if missing:
        total = len(game.profiles)
        raise GameError(f"{missing:,} of {total:,} profiles are not known: a solution needs all")
    if settings.method == "gambit":
        gambit.check(game)
        if settings.honest:
            settings = replace(settings, honest=names_apart(game, settings.honest))
        table = apart(table)
        game = table.game
    found, search = _searched(game, settings)
    honest = [game.pure(settings.honest)] if settings.honest else []
    drawn = _drawn(table, [*(e.mix for e in found), *honest], settings)
    regrets = [
        _regret(e.regret, np.array([max(g.max(), 0.0) for g in gains]), settings.level)
        for e, gains in zip(found, drawn, strict=False)
    ]
    return Solution(
        table,
        settings,
        found,
        tuple(regrets),
        _basins(game, found, settings.starts),
        stable_profiles(game),
        efficiency(game, found),
        _ranking(game, settings),
        _judged(table, settings, drawn[-1]) if honest else None,
        search,
    )


def _searched(game: Game, settings: Settings) -> tuple[tuple[Equilibrium, ...], str]:
    """Return the equilibria, and in words how they were looked for."""
    if settings.method == "gambit":
        found, search = gambit.equilibria(game)
        return tuple(found), search
    search = f"replicator dynamics from {settings.starts} random starts and from sets of strategies"
    return tuple(equilibria(game, starts=settings.starts)), search


def honesty(table: Table, settings: Settings) -> Honesty:
    """Return what can be gained against the honest profile, which the settings name."""
    (drawn,) = _drawn(table, [table.game.pure(settings.honest)], settings)
    return _judged(table, settings, drawn)


def _judged(table: Table, settings: Settings, drawn: list[NDArray[np.float64]]) -> Honesty:
    """Return the gains against the honest profile with intervals, of those in resampled tables.

    Intervals are simultaneous over the strategies: the largest resampled deviation from the mean,
    in units of each strategy's spread, at the level.
    """
    means = table.game.gains(table.game.pure(settings.honest))
    return Honesty(table, settings, _simultaneous(means, np.array(drawn), settings.level))


def _drawn(
    table: Table, mixes: Sequence[Mix], settings: Settings
) -> list[list[NDArray[np.float64]]]:
    """Return the gains against each mix in every resampled table, `[mixes][resamples]` of `[S]`."""
    rng = np.random.default_rng(0)
    drawn: list[list[NDArray[np.float64]]] = [[] for _ in mixes]
    for _ in range(settings.resamples if table.uncertain else 0):
        again = table.resampled(rng)
        for at, mix in enumerate(mixes):
            drawn[at].append(again.gains(mix))
    return drawn


def _regret(value: float, drawn: NDArray[np.float64], level: float) -> Bound:
    """Return a regret with its upper bound; it is never below 0."""
    if not len(drawn):
        return Bound(value, float("nan"), float("nan"))
    return Bound(value, 0.0, float(np.quantile(drawn, level)))


def _simultaneous(
    means: NDArray[np.float64], drawn: NDArray[np.float64], level: float
) -> tuple[Bound, ...]:
    if not len(drawn):
        return tuple(Bound(float(m), float("nan"), float("nan")) for m in means)
    # Few seeds have tails that a standard deviation would be made of.
    low, high = np.quantile(drawn, [0.16, 0.84], axis=0)
    spread = (high - low) / 2
    some = spread > 0
    most = 0.0
    if some.any():
        largest = (np.abs(drawn - means)[:, some] / spread[some]).max(axis=1)
        most = float(np.quantile(largest, level))
    return tuple(
        Bound(float(m), float(m - most * s), float(m + most * s))
        for m, s in zip(means, spread, strict=True)
    )


def _basins(game: Game, found: Sequence[Equilibrium], starts: int) -> tuple[float, ...]:
    """Return the share of random starts whose replicator path ends in each equilibrium."""
    rng = np.random.default_rng(1)
    counts = [0] * len(found)
    for _ in range(starts):
        start = np.concatenate([rng.dirichlet(np.ones(len(r.strategies))) for r in game.roles])
        end = replicator(game, start, steps=2_000)
        for at, e in enumerate(found):
            if np.abs(end - e.mix).max() < 100 * SAME:
                counts[at] += 1
                break
    return tuple(count / starts for count in counts)


def _ranking(game: Game, settings: Settings) -> Ranking | None:
    """Return the long run of a finite population where it is defined and not too large."""
    several = len(game.roles) > 1
    if several and any(role.players != 1 for role in game.roles):
        return None
    if (len(game.profiles) if several else game.size) > MOST_RANKED:
        return None
    if not several and game.roles[0].players > settings.population:
        return None
    return alpha_rank(game, settings.population, settings.intensity / game.spread)
