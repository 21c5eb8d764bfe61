"""A role-symmetric game: players of a role are alike, so a profile counts who plays what."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations, product

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaln

from fedstake.errors import InputError

Counts = NDArray[np.int64]
Mix = NDArray[np.float64]
"""Mixed strategies of all roles one behind the other, `float64[S]`: those of a role sum to 1."""

MOST_PROFILES = 2_000_000
"""Profiles of a game, at most: beyond them a table would not fit into memory."""


class GameError(InputError):
    """A game that cannot be: its message says what would be right."""


@dataclass(frozen=True)
class Role:
    """`players` players that choose among the same strategies, and are paid alike."""

    name: str
    players: int
    strategies: tuple[str, ...]


def compositions(players: int, strategies: int) -> Counts:
    """Return all ways in which players can be counted by strategy, `int64[m, strategies]`.

    In order: all players on the first strategy come first.
    """
    bars = [*combinations(range(players + strategies - 1), strategies - 1)]
    m = len(bars)
    edges = np.array(bars, dtype=np.int64).reshape(m, strategies - 1)
    ends = np.full((m, 1), players + strategies - 1)
    whole = np.concatenate([np.full((m, 1), -1), edges, ends], axis=1)
    return (np.diff(whole, axis=1) - 1)[::-1]


def number_of(players: int, strategies: int) -> int:
    """Return how many compositions there are, C(players + strategies - 1, strategies - 1)."""
    total = 1
    for i in range(1, strategies):
        total = total * (players + i) // i
    return total


class Game:
    """The payoffs of every profile of counts.

    Args:
        roles: who plays; their strategies stand one behind the other in all arrays, S together.
        payoffs: `float64[m, S]`, what a player of each strategy is paid in the profiles in the
            order of `profiles`; NaN where nobody plays it, or where it is not known.

    Raises `GameError` for another shape and for games that are too large.
    """

    def __init__(self, roles: Sequence[Role], payoffs: NDArray[np.float64]) -> None:
        self.roles = tuple(roles)
        self.profiles = profiles_of(self.roles)
        self.payoffs = np.asarray(payoffs, dtype=np.float64)
        if self.payoffs.shape != self.profiles.shape:
            shape, wanted = self.payoffs.shape, self.profiles.shape
            raise GameError(f"payoffs have the shape {shape}, must be {wanted}: a row per profile")

    @property
    def size(self) -> int:
        """Strategies of all roles together, S."""
        return self.profiles.shape[1]

    @cached_property
    def parts(self) -> tuple[slice, ...]:
        """Where the strategies of each role stand."""
        ends = np.cumsum([len(role.strategies) for role in self.roles]).tolist()
        return tuple(slice(a, b) for a, b in zip([0, *ends], ends, strict=False))

    @cached_property
    def role_of(self) -> Counts:
        """The number of the role of each strategy, `int64[S]`."""
        return np.repeat(np.arange(len(self.roles)), [len(r.strategies) for r in self.roles])

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The strategies; of several roles with the role in front: `worker/honest`."""
        if len(self.roles) == 1:
            return self.roles[0].strategies
        return tuple(f"{role.name}/{s}" for role in self.roles for s in role.strategies)

    @property
    def players(self) -> Counts:
        """Players of the role of each strategy, `int64[S]`."""
        return np.array([role.players for role in self.roles])[self.role_of]

    @cached_property
    def spread(self) -> float:
        """Largest payoff less the smallest one: the scale of tolerances; 1 where all are alike."""
        return float(np.nanmax(self.payoffs) - np.nanmin(self.payoffs)) or 1.0

    @cached_property
    def rows(self) -> dict[bytes, int]:
        """The number of each profile by the bytes of its counts."""
        return {row.tobytes(): i for i, row in enumerate(self.profiles)}

    def payoff(self, counts: Sequence[int]) -> NDArray[np.float64]:
        """Return the payoffs of one profile, `float64[S]`."""
        return self.payoffs[self.rows[np.array(counts, dtype=np.int64).tobytes()]]

    # --- mixed strategies -----------------------------------------------------------------------

    @cached_property
    def _deviations(self) -> tuple[_Deviation, ...]:
        return tuple(_Deviation(self, role) for role in range(len(self.roles)))

    def deviation(self, mix: Mix) -> NDArray[np.float64]:
        """Return the expected payoff of each strategy against opponents who all play a mix, `[S]`.

        sum over opponents' counts c of (multinomial probability of c) x (payoff of the strategy
        when it joins c). NaN where a profile of positive probability is not known.
        """
        return np.concatenate([part.payoffs(mix) for part in self._deviations])

    def jacobian(self, mix: Mix) -> NDArray[np.float64]:
        """Return the derivatives of `deviation` by the entries of the mix, `[S, S]`."""
        return np.concatenate([part.slopes(mix) for part in self._deviations])

    def expected(self, mix: Mix) -> NDArray[np.float64]:
        """Return what a player of each role expects when all play a mix, `float64[roles]`."""
        return self._means(mix, self.deviation(mix))

    def _means(self, mix: Mix, deviation: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the mean of payoffs of strategies in each role, `float64[roles]`."""
        paid = np.where(mix > 0, mix * deviation, 0.0)
        return np.add.reduceat(paid, [part.start for part in self.parts])

    def gains(self, mix: Mix) -> NDArray[np.float64]:
        """Return what a player gains by each strategy instead of the mix, `float64[S]`."""
        deviation = self.deviation(mix)
        return deviation - self._means(mix, deviation)[self.role_of]

    def weights(self, mix: Mix) -> Iterator[tuple[int, NDArray[np.float64]]]:
        """Yield profiles by number with the weight of each payoff in them in `deviation`, `[S]`.

        deviation_s = sum over these profiles of weight_s x payoff_s; weights of 0 are left out.
        """
        for part, role in zip(self._deviations, self.parts, strict=True):
            yield from part.weights(mix, role, self.size)

    def regret(self, mix: Mix) -> float:
        """Return what some player can gain at most by a strategy of its own; 0 in equilibrium."""
        return float(max(self.gains(mix).max(), 0.0))

    def pure(self, strategies: Sequence[str]) -> Mix:
        """Return the mix in which each role plays one strategy, named as in `names`.

        Raises `GameError` for names that are none of them, and without one for each role.
        """
        mix = np.zeros(self.size)
        for name in strategies:
            if name not in self.names:
                raise GameError(f"{name!r} is no strategy; there are {', '.join(self.names)}")
            mix[self.names.index(name)] = 1.0
        if any(mix[part].sum() != 1 for part in self.parts):
            raise GameError(f"{', '.join(strategies)}: must be one strategy for each role")
        return mix

    def uniform(self) -> Mix:
        """Return the mix in which every strategy is as likely as the others of its role."""
        sizes = np.array([len(role.strategies) for role in self.roles])
        return (1 / sizes)[self.role_of]

    def restricted(self, kept: NDArray[np.bool_]) -> Game:
        """Return the game with some strategies only, `bool[S]`: at least one of each role."""
        roles = [
            Role(
                role.name,
                role.players,
                tuple(s for s, k in zip(role.strategies, kept[part], strict=True) if k),
            )
            for role, part in zip(self.roles, self.parts, strict=True)
        ]
        inside = (self.profiles[:, ~kept] == 0).all(axis=1)
        return Game(roles, self.payoffs[inside][:, kept])

    # --- profiles -------------------------------------------------------------------------------

    def welfare(self) -> NDArray[np.float64]:
        """Return the sum of all players' payoffs in each profile, `float64[m]`."""
        return np.where(self.profiles > 0, self.profiles * self.payoffs, 0.0).sum(axis=1)

    def mixed_welfare(self, mix: Mix) -> float:
        """Return the expected sum of all players' payoffs when all play a mix."""
        players = np.array([role.players for role in self.roles])
        return float(players @ self.expected(mix))


class _Deviation:
    """Payoffs of the strategies of one role, as a function of what the opponents play.

    `counts` `int64[o, S]` are the opponents' profiles, `payoff` `float64[o, s]` what each strategy
    of the role is paid when it joins them.
    """

    def __init__(self, game: Game, role: int) -> None:
        part = game.parts[role]
        others = [
            Role(r.name, r.players - (i == role), r.strategies) for i, r in enumerate(game.roles)
        ]
        self.counts = profiles_of(others)
        ways = np.zeros(len(self.counts))
        for opponent, own in zip(others, game.parts, strict=True):
            ways += gammaln(opponent.players + 1) - gammaln(self.counts[:, own] + 1).sum(axis=1)
        self._ways = ways
        strategies = range(part.start, part.stop)
        self.payoff = np.empty((len(self.counts), len(strategies)))
        self._rows = np.empty((len(self.counts), len(strategies)), dtype=np.int64)
        for at, strategy in enumerate(strategies):
            joined = self.counts.copy()
            joined[:, strategy] += 1
            self._rows[:, at] = [game.rows[row.tobytes()] for row in joined]
            self.payoff[:, at] = game.payoffs[self._rows[:, at], strategy]
        self._known = bool(np.isfinite(self.payoff).all())

    def _probabilities(self, mix: Mix) -> NDArray[np.float64]:
        """Return the probability of each of the opponents' profiles, `float64[o]`."""
        with np.errstate(divide="ignore"):
            logs = np.log(mix)
        played = mix > 0
        exponents = self._ways + self.counts[:, played] @ logs[played]
        possible = (self.counts[:, ~played] == 0).all(axis=1)
        return np.where(possible, np.exp(exponents), 0.0)

    def payoffs(self, mix: Mix) -> NDArray[np.float64]:
        """Return the expected payoff of each strategy, `float64[s]`."""
        chances = self._probabilities(mix)
        if self._known:
            return chances @ self.payoff
        likely = chances > 0
        return chances[likely] @ self.payoff[likely]

    def weights(
        self, mix: Mix, role: slice, size: int
    ) -> Iterator[tuple[int, NDArray[np.float64]]]:
        """Yield the numbers of profiles with the weights of their payoffs; see `Game.weights`."""
        chances = self._probabilities(mix)
        for at in np.flatnonzero(chances).tolist():
            for s, row in enumerate(self._rows[at].tolist()):
                found = np.zeros(size)
                found[role.start + s] = chances[at]
                yield row, found

    def slopes(self, mix: Mix) -> NDArray[np.float64]:
        """Return the derivatives of `payoffs` by the entries of the mix, `float64[s, S]`."""
        found = np.zeros((self.payoff.shape[1], len(mix)))
        chances = self._probabilities(mix)
        for t in range(len(mix)):
            some = self.counts[:, t] > 0
            if mix[t] > 0:
                weights = chances[some] * self.counts[some, t] / mix[t]
            else:
                weights = self._first_order(mix, t, some)
            likely = weights > 0
            found[:, t] = weights[likely] @ self.payoff[some][likely]
        return found

    def _first_order(self, mix: Mix, t: int, some: NDArray[np.bool_]) -> NDArray[np.float64]:
        """Return the slopes of probabilities at 0: of profiles in which one opponent plays t."""
        once = self.counts[some, t] == 1
        moved = mix.copy()
        moved[t] = 1.0
        return np.where(once, self._probabilities(moved)[some], 0.0)


def profiles_of(roles: Sequence[Role]) -> Counts:
    """Return all profiles of some roles, `int64[m, S]`; those of the last role change fastest.

    Raises `GameError` for more than two million.
    """
    total = 1
    for role in roles:
        if role.players < 0 or not role.strategies:
            raise GameError(f"role {role.name!r}: must have players and strategies")
        total *= number_of(role.players, len(role.strategies))
    if total > MOST_PROFILES:
        raise GameError(
            f"{total:,} profiles are too many, at most {MOST_PROFILES:,}: take fewer players or "
            "strategies, or a reduced game"
        )
    each = [compositions(role.players, len(role.strategies)) for role in roles]
    if len(each) == 1:
        return each[0]
    return np.array([np.concatenate(rows) for rows in product(*each)], dtype=np.int64)


def game_of(roles: Sequence[Role], payoff: object) -> Game:
    """Return the game of a function of counts `int64[S]` that gives payoffs `[S]`."""
    assert callable(payoff)
    profiles = profiles_of(roles)
    payoffs = np.array([payoff(row) for row in profiles], dtype=np.float64)
    return Game(roles, np.where(profiles > 0, payoffs, np.nan))


def symmetric(strategies: Sequence[str], matrix: NDArray[np.float64]) -> Game:
    """Return the symmetric game of two players in which row i against column j is paid `[i, j]`."""
    names = tuple(strategies)
    matrix = np.asarray(matrix, dtype=np.float64)
    if matrix.shape != (len(names), len(names)):
        shape = matrix.shape
        raise GameError(f"the matrix has the shape {shape}, must be square with a row per strategy")

    def payoff(counts: Counts) -> NDArray[np.float64]:
        others = counts - np.eye(len(names), dtype=np.int64)
        return np.einsum("ij,ij->i", others, matrix)

    return game_of([Role("player", 2, names)], payoff)
