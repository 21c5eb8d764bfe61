"""Dynamics of populations: replicator, logit, and who takes over a finite population."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaln, logsumexp, softmax

from experiments.games.game import Game, GameError, Mix

NEUTRAL = 1e-7
"""Rates of growth below this, in the spread of payoffs per time, count as none."""


def velocity(game: Game, mix: Mix) -> NDArray[np.float64]:
    """Return dx/dt of the replicator dynamics, x_s (dev_s(x) - x . dev(x)) in each role, `[S]`.

    Taylor and Jonker 1978.
    """
    return np.where(mix > 0, mix * game.gains(mix), 0.0)


def stability(game: Game, mix: Mix) -> str:
    """Return whether the replicator dynamics comes back to a mix that it rests at.

    "stable": every small step away shrinks; "unstable": some step grows; "neutral": to first order
    some step does neither. By the eigenvalues of the dynamics' derivatives along the simplex
    (Hofbauer and Sigmund 1998, chapter 7).
    """
    gains, deviation = game.gains(mix), game.deviation(mix)
    slopes = game.jacobian(mix)
    same = game.role_of[:, None] == game.role_of[None, :]
    # Derivatives of the mean payoff of the role of s by the share of t.
    means = np.where(same, deviation, 0.0) + np.where(same, mix, 0.0) @ slopes
    moves = np.diag(gains) + mix[:, None] * (slopes - means)
    along = _directions(game)
    if not along.size:
        return "stable"
    fastest = float(np.linalg.eigvals(along.T @ moves @ along).real.max()) / game.spread
    if abs(fastest) <= NEUTRAL:
        return "neutral"
    return "unstable" if fastest > 0 else "stable"


def _directions(game: Game) -> NDArray[np.float64]:
    """Return an orthonormal basis of the steps that stay in the simplex, `float64[S, d]`."""
    columns = []
    for part in game.parts:
        size = part.stop - part.start
        inside = np.zeros((game.size, size - 1))
        inside[part] = np.linalg.svd(np.ones((1, size)))[2][1:].T
        columns.append(inside)
    return np.concatenate(columns, axis=1)


def replicator(game: Game, start: Mix, *, steps: int = 300, settled: float = 1e-10) -> Mix:
    """Return where the replicator dynamics leads from a start, or has come to after all steps.

    Steps multiply each share by exp(h gain) and normalise, h one over the spread of the payoffs:
    shares stay above 0 and sum to 1, whatever the payoffs are.
    """
    mix = start.copy()
    for _ in range(steps):
        gains = game.gains(mix)
        grown = mix * np.exp(np.clip(gains / game.spread, -30, 30))
        for part in game.parts:
            grown[part] /= grown[part].sum()
        moved = float(np.abs(grown - mix).max())
        mix = grown
        if moved < settled:
            break
    return mix


def path(
    game: Game, start: Mix, *, time: float = 20.0, points: int = 200, inner: int = 10
) -> NDArray[np.float64]:
    """Return the replicator dynamics from a start over time, `float64[points, S]`.

    Time is in units of one over the spread of the payoffs; `inner` steps of the order 4
    (Runge-Kutta) lead from one point to the next.
    """
    spread = game.spread
    h = time / (points - 1) / inner
    found = np.empty((points, game.size))
    mix = start.copy()
    for i in range(points):
        found[i] = mix
        for _ in range(inner):
            k1 = velocity(game, mix) / spread
            k2 = velocity(game, _inside(game, mix + h / 2 * k1)) / spread
            k3 = velocity(game, _inside(game, mix + h / 2 * k2)) / spread
            k4 = velocity(game, _inside(game, mix + h * k3)) / spread
            mix = _inside(game, mix + h / 6 * (k1 + 2 * k2 + 2 * k3 + k4))
    return found


def _inside(game: Game, mix: Mix) -> Mix:
    """Return a mix without what rounding puts outside the simplex."""
    inside = np.clip(mix, 0.0, None)
    for part in game.parts:
        inside[part] /= inside[part].sum()
    return inside


def logit(game: Game, rationality: float, start: Mix | None = None, *, steps: int = 10_000) -> Mix:
    """Return a logit (quantal response) equilibrium: x_s ~ exp(rationality dev_s(x)) in each role.

    `rationality` is in 1 / payoff. Damped iteration from a start, by default the uniform mix.
    McKelvey and Palfrey 1995. Raises `GameError` when it does not settle.
    """
    mix = game.uniform() if start is None else start.copy()
    for i in range(steps):
        dev = rationality * game.deviation(mix)
        answer = np.concatenate([softmax(dev[part]) for part in game.parts])
        moved = float(np.abs(answer - mix).max())
        if moved < 1e-12:
            return answer
        mix = mix + (answer - mix) / (2 + i / 50)
        if moved < 1e-9 and i > steps // 2:
            return mix
    raise GameError(f"rationality = {rationality:g}: the iteration does not settle; lower it")


# --- finite populations -------------------------------------------------------------------------


def _single(game: Game) -> int:
    """Return the players of the only role of a game; raise `GameError` where there are several."""
    if len(game.roles) != 1:
        raise GameError("finite populations are of games with one role; this one has several")
    return game.roles[0].players


def two_strategies(game: Game, a: int, b: int, population: int) -> NDArray[np.float64]:
    """Return the fitness of a and of b when k individuals play a, k = 1..population-1, `[k, 2]`.

    Groups of the game's size are drawn from the population without replacement.
    """
    n = _single(game)
    if population < n:
        raise GameError(f"a population of {population} is smaller than a group of {n}")
    paid = np.full((n + 1, 2), np.nan)
    for in_group in range(n + 1):
        counts = np.zeros(game.size, dtype=np.int64)
        counts[a], counts[b] = in_group, n - in_group
        paid[in_group] = game.payoff(counts.tolist())[[a, b]]
    fitness = np.empty((population - 1, 2))
    for k in range(1, population):
        # The others of the group: n - 1 of the population without the focal individual.
        chances_a = _hypergeometric(population - 1, k - 1, n - 1)
        chances_b = _hypergeometric(population - 1, k, n - 1)
        fitness[k - 1, 0] = chances_a @ paid[1:, 0]
        fitness[k - 1, 1] = chances_b @ paid[:-1, 1]
    return fitness


def _hypergeometric(population: int, marked: int, drawn: int) -> NDArray[np.float64]:
    """Return the probabilities of 0..drawn marked ones among those drawn, `float64[drawn + 1]`."""
    j = np.arange(drawn + 1)
    possible = (j <= marked) & (drawn - j <= population - marked)
    j = j[possible]

    def ways(n: int, k: NDArray[np.int64]) -> NDArray[np.float64]:
        return gammaln(n + 1) - gammaln(k + 1) - gammaln(n - k + 1)

    logs = ways(marked, j) + ways(population - marked, drawn - j)
    found = np.zeros(drawn + 1)
    found[possible] = np.exp(logs - logsumexp(logs))
    return found


def fixation(game: Game, resident: int, invader: int, population: int, intensity: float) -> float:
    """Return the probability that one invader takes over a population of residents.

    Pairwise comparison: an individual copies another with probability 1 / (1 + exp(-intensity x
    difference of fitness)), so that rho = 1 / (1 + sum_j prod_{k<=j} exp(-intensity (f_a - f_b))).
    Traulsen, Nowak and Pacheco 2006, equation 4.
    """
    return float(np.exp(_log_fixation(game, resident, invader, population, intensity)))


def _log_fixation(
    game: Game, resident: int, invader: int, population: int, intensity: float
) -> float:
    """Return the logarithm of `fixation`: probabilities of 1e-1000 still have an order."""
    fitness = two_strategies(game, invader, resident, population)
    steps = np.cumsum(-intensity * (fitness[:, 0] - fitness[:, 1]))
    return -float(logsumexp(np.concatenate([[0.0], steps])))


@dataclass(frozen=True)
class Ranking:
    """How often each population of one kind is what there is in the long run, `float64[n]`.

    The n kinds are strategies, or joint strategies of several roles. `log_fixations` `[n, n]`: row
    the resident, column the invader; -inf where there is no way in one step.
    """

    shares: NDArray[np.float64]
    log_fixations: NDArray[np.float64]

    @property
    def fixations(self) -> NDArray[np.float64]:
        """Probabilities that a single invader takes over, `float64[n, n]`."""
        return np.exp(self.log_fixations)


def rare_mutations(game: Game, population: int, intensity: float) -> Ranking:
    """Return the long run of a finite population in which mutants are rare.

    The chain over populations of one strategy, which moves to each other one with probability
    fixation / (S - 1); its stationary distribution. Fudenberg and Imhof 2006. With a high intensity
    this is alpha-rank of one population (Omidshafiei et al. 2019, arXiv:1903.01373), intensity its
    alpha.
    """
    _single(game)
    size = game.size
    logs = np.full((size, size), -np.inf)
    for resident in range(size):
        for invader in range(size):
            if invader != resident:
                logs[resident, invader] = _log_fixation(
                    game, resident, invader, population, intensity
                )
    return Ranking(stationary(logs), logs)


def stationary(log_moves: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the stationary distribution of a chain, `float64[n]`.

    Grassmann, Taksar and Heyman 1985, on logarithms: nothing is subtracted, so that the smallest
    probability counts. `log_moves` `[n, n]` are logarithms of the probabilities from row to column,
    up to a common term; the diagonal does not matter. Every state must reach every other.
    """
    logs = log_moves.astype(np.float64).copy()
    n = len(logs)
    np.fill_diagonal(logs, -np.inf)
    for last in range(n - 1, 0, -1):
        logs[:last, last] -= logsumexp(logs[last, :last])
        through = logs[:last, last, None] + logs[last, None, :last]
        logs[:last, :last] = np.logaddexp(logs[:last, :last], through)
        np.fill_diagonal(logs[:last, :last], -np.inf)
    shares = np.zeros(n)
    for state in range(1, n):
        shares[state] = logsumexp(shares[:state] + logs[:state, state])
    return softmax(shares)


def alpha_rank(game: Game, population: int = 50, alpha: float = 10.0) -> Ranking:
    """Return alpha-rank: over strategies of one role, over pure joint strategies of several.

    Roles are populations of their own: from a joint strategy, each population is invaded by each of
    its other strategies with rho = (1 - e^(-alpha d)) / (1 - e^(-alpha m d)), d the gain of the
    invader (Omidshafiei et al. 2019, equation 3). Roles of several players have no such closed form
    and are refused.
    """
    if len(game.roles) == 1:
        return rare_mutations(game, population, alpha)
    if any(role.players != 1 for role in game.roles):
        raise GameError("alpha-rank of several roles needs one player in each")
    joint = game.profiles.astype(bool)
    n = len(joint)
    logs = np.full((n, n), -np.inf)
    for i in range(n):
        for j in range(n):
            changed = np.flatnonzero(joint[i] != joint[j])
            if len(changed) != 2 or game.role_of[changed[0]] != game.role_of[changed[1]]:
                continue
            new = changed[joint[j][changed]][0]
            old = changed[joint[i][changed]][0]
            gain = game.payoffs[j, new] - game.payoffs[i, old]
            # rho = 1 / (1 + e^-a + ... + e^-(m-1)a), without overflow and at a = 0 too.
            logs[i, j] = -logsumexp(-alpha * gain * np.arange(population))
    return Ranking(stationary(logs), logs)
