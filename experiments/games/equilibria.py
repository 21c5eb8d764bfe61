"""Equilibria of role-symmetric games: all players of a role play the same mix.

Many starts of the replicator dynamics, each polished to machine precision on the strategies that
are left, filtered by regret. Every equilibrium is checked: what is returned has the regret that it
says. Symmetric equilibria exist (Nash 1951); nothing promises that all are found.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import combinations, product

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import least_squares

from experiments.games.dynamics import replicator
from experiments.games.game import Game, Mix

EXACT = 1e-9
"""Regret below which a mix is an equilibrium, as a share of the spread of the payoffs."""
SAME = 1e-4
"""Mixes closer than this in every entry are one."""
PLAYED = 1e-6
"""Probability above which a strategy counts as played."""

MOST_SETS = 10
"""Sets of strategies that are starts, at most, in random starts."""


@dataclass(frozen=True)
class Equilibrium:
    """A mix `float64[S]`, the regret of it in payoffs, and what each role expects."""

    mix: Mix
    regret: float
    payoffs: NDArray[np.float64]


def equilibria(
    game: Game, *, starts: int = 30, tolerance: float = EXACT, seed: int = 0
) -> list[Equilibrium]:
    """Return the equilibria that were found, those with the highest welfare first.

    Args:
        game: complete: payoffs of all profiles are known.
        starts: random starts, beside the even mixes of all sets of strategies (of single ones, if
            there are more than ten times as many).
        tolerance: largest regret, as a share of the spread of the payoffs.
        seed: of the starts.
    """
    most = tolerance * game.spread
    found: list[Equilibrium] = []
    for start in _starts(game, starts, np.random.default_rng(seed)):
        for mix in _candidates(game, start):
            regret = game.regret(mix)
            if regret <= most and not known(mix, found):
                found.append(Equilibrium(mix, regret, game.expected(mix)))
    return by_welfare(game, found)


def by_welfare(game: Game, found: Iterable[Equilibrium]) -> list[Equilibrium]:
    """Return equilibria in order: those with the highest welfare first."""
    return sorted(found, key=lambda e: (-game.mixed_welfare(e.mix), e.mix.tolist()))


def _candidates(game: Game, start: Mix) -> Iterator[Mix]:
    """Yield what a start leads to: itself polished, and the polished end of the replicator."""
    yield start
    end = replicator(game, start)
    yield polished(game, end)
    yield polished(game, start)


def _starts(game: Game, starts: int, rng: np.random.Generator) -> Iterator[Mix]:
    """Yield the even mixes of all sets of strategies, where these are few, and random mixes.

    The dynamics never comes back to a set of strategies that it has left, and leaves what is
    unstable: without these starts mixed equilibria of a few strategies would not be found.
    """
    sizes = [len(role.strategies) for role in game.roles]
    every = math.prod(2**size - 1 for size in sizes)
    most = max(sizes) if every <= MOST_SETS * starts else 1
    if every <= MOST_SETS * starts or math.prod(sizes) <= MOST_SETS * starts:
        yield from map(np.concatenate, product(*(_sets(size, most) for size in sizes)))
    yield game.uniform()
    for i in range(starts):
        # A third of them near the edges, where few strategies are left, and a third on them.
        alpha = 0.3 if i % 3 == 1 else 1.0
        mixes = [rng.dirichlet(np.full(size, alpha)) for size in sizes]
        if i % 3 == 2:
            mixes = [_on_edge(mix, rng) for mix in mixes]
        yield np.concatenate(mixes)


def _sets(size: int, most: int) -> list[Mix]:
    """Return the even mixes of at most so many of some strategies, `float64[size]` each."""
    return [
        np.bincount(chosen, minlength=size) / count
        for count in range(1, min(most, size) + 1)
        for chosen in combinations(range(size), count)
    ]


def _on_edge(mix: Mix, rng: np.random.Generator) -> Mix:
    """Return a mix of which only a random set of strategies is left, of a random size."""
    left = rng.permutation(len(mix))[: rng.integers(1, len(mix) + 1)]
    found = np.zeros(len(mix))
    found[left] = mix[left] / mix[left].sum()
    return found


def known(mix: Mix, found: Iterable[Equilibrium]) -> bool:
    """Return whether a mix is one of those that were found, but for rounding."""
    return any(np.abs(mix - other.mix).max() < SAME for other in found)


def polished(game: Game, mix: Mix) -> Mix:
    """Return the mix near another in which all strategies that are played are paid the same.

    Solved by least squares, with the derivatives in closed form; where that leads out of the
    simplex the given mix.
    """
    played = mix > PLAYED
    mix = np.where(played, mix, 0.0)
    for part in game.parts:
        mix[part] /= mix[part].sum()
    if played.sum() == len(game.parts):
        return mix
    at = np.flatnonzero(played)
    scale = game.spread

    def whole(values: NDArray[np.float64]) -> Mix:
        full = np.zeros(game.size)
        full[at] = np.clip(values, 0.0, None)
        return full

    rows = _equations(game, at)

    def residuals(values: NDArray[np.float64]) -> NDArray[np.float64]:
        full = whole(values)
        sums = [full[part].sum() - 1 for part in game.parts]
        return np.concatenate([rows @ game.deviation(full) / scale, sums])

    def slopes(values: NDArray[np.float64]) -> NDArray[np.float64]:
        inner = rows @ game.jacobian(whole(values))[:, at] / scale
        sums = np.array([(game.role_of[at] == role) for role in range(len(game.parts))])
        return np.concatenate([inner, sums.astype(float)])

    solved = least_squares(
        residuals, mix[at], jac=slopes, bounds=(0.0, 1.0), xtol=1e-15, ftol=1e-15, gtol=1e-15
    )
    full = whole(solved.x)
    for part in game.parts:
        total = full[part].sum()
        if not total > 0:
            return mix
        full[part] /= total
    return full if game.regret(full) <= game.regret(mix) else mix


def _equations(game: Game, at: NDArray[np.intp]) -> NDArray[np.float64]:
    """Return the differences between strategies of one role that are to vanish, `[e, S]`."""
    rows = []
    for role in range(len(game.roles)):
        own = [s for s in at.tolist() if game.role_of[s] == role]
        for other in own[1:]:
            row = np.zeros(game.size)
            row[own[0]], row[other] = 1.0, -1.0
            rows.append(row)
    return np.array(rows).reshape(-1, game.size)


# --- one strategy set after the other -----------------------------------------------------------


def quiesce(game: Game, *, starts: int = 10, tolerance: float = EXACT) -> list[Equilibrium]:
    """Return equilibria found on small sets of strategies that nobody wants to leave.

    Finds equilibria as long as there are some that small sets lead to, not all there are. Begins
    with every combination of pure strategies; where a strategy outside is better against an
    equilibrium inside, the best such strategy is added and the larger set is solved (Wellman 2006).
    Needs the payoffs of those sets, and of single deviations from them, alone.
    """
    sizes = [len(role.strategies) for role in game.roles]
    waiting = []
    for chosen in np.ndindex(*sizes):
        kept = np.zeros(game.size, dtype=np.bool_)
        kept[[part.start + at for part, at in zip(game.parts, chosen, strict=True)]] = True
        waiting.append(kept)
    seen, found = set(), list[Equilibrium]()
    most = tolerance * game.spread
    while waiting:
        kept = waiting.pop(0)
        if kept.tobytes() in seen:
            continue
        seen.add(kept.tobytes())
        inner = game.restricted(kept)
        for inside in equilibria(inner, starts=starts, tolerance=tolerance):
            mix = np.zeros(game.size)
            mix[kept] = inside.mix
            gains = np.where(kept, -np.inf, game.gains(mix))
            for part in game.parts:
                best = part.start + int(np.argmax(gains[part]))
                if gains[best] > most:
                    larger = kept.copy()
                    larger[best] = True
                    waiting.append(larger)
            regret = game.regret(mix)
            if regret <= most and not known(mix, found):
                found.append(Equilibrium(mix, regret, game.expected(mix)))
    return by_welfare(game, found)


# --- pure profiles ------------------------------------------------------------------------------


def stable_profiles(game: Game, tolerance: float = EXACT) -> NDArray[np.int64]:
    """Return the profiles of counts that no single player wants to leave, `int64[k, S]`.

    Players of one role may play different strategies in them. Profiles next to payoffs that are not
    known are left out.
    """
    most = tolerance * game.spread
    stable = [i for i in range(len(game.profiles)) if profile_regret(game, i) <= most]
    return game.profiles[stable]


def profile_regret(game: Game, row: int) -> float:
    """Return what some player of a profile can gain by changing its strategy; NaN: not known."""
    counts, paid = game.profiles[row], game.payoffs[row]
    worst = 0.0
    for part in game.parts:
        played = [s for s in range(part.start, part.stop) if counts[s]]
        for s in played:
            for t in range(part.start, part.stop):
                if t == s:
                    continue
                moved = counts.copy()
                moved[s] -= 1
                moved[t] += 1
                gain = game.payoff(moved.tolist())[t] - paid[s]
                if np.isnan(gain):
                    return float("nan")
                worst = max(worst, float(gain))
    return worst


@dataclass(frozen=True)
class Efficiency:
    """Welfare of the best profile, and of the worst and the best equilibrium.

    `anarchy` = optimum / worst and `stability` = optimum / best: the prices, NaN where a welfare is
    not above 0; then `lost` = optimum - worst says more.
    """

    optimum: float
    worst: float
    best: float

    @property
    def anarchy(self) -> float:
        return self._ratio(self.worst)

    @property
    def stability(self) -> float:
        return self._ratio(self.best)

    @property
    def lost(self) -> float:
        return self.optimum - self.worst

    def _ratio(self, welfare: float) -> float:
        if min(self.optimum, welfare) <= 0:
            return float("nan")
        return self.optimum / welfare


def efficiency(game: Game, found: Iterable[Equilibrium]) -> Efficiency:
    """Return the prices of anarchy and stability over some equilibria.

    Koutsoupias and Papadimitriou 1999; Anshelevich et al. 2004.
    """
    values = [game.mixed_welfare(e.mix) for e in found]
    if not values:
        return Efficiency(float(np.nanmax(game.welfare())), float("nan"), float("nan"))
    return Efficiency(float(np.nanmax(game.welfare())), min(values), max(values))
