"""The solvers against three libraries that others wrote, on random games, and against textbooks.

nashpy (two players), Gambit (two to four) and EGTtools (populations) share no code with ours.
"""

import math
import warnings

import numpy as np
import pytest

from experiments.games import dynamics, gambit
from experiments.games.equilibria import equilibria
from experiments.games.game import GameError, Role, game_of, number_of, profiles_of, symmetric
from experiments.games.solution import Settings, solve
from experiments.games.table import apart, certain, separate

nashpy = pytest.importorskip("nashpy")
pygambit = pytest.importorskip("pygambit")
egttools = pytest.importorskip("egttools")

from egttools.analytical import PairwiseComparison, replicator_equation_n_player  # noqa: E402
from egttools.games import MatrixNPlayerGameHolder  # noqa: E402
from egttools.utils import calculate_stationary_distribution  # noqa: E402


def players(*tensors):
    """The game of payoff tensors, one for each player with an axis for the strategies of each."""
    names = "abcd"[: len(tensors)]
    sizes = tensors[0].shape
    roles = [Role(name, 1, tuple("uvwxyz"[:size])) for name, size in zip(names, sizes, strict=True)]

    def payoff(counts):
        chosen = tuple(np.flatnonzero(counts) - np.cumsum([0, *sizes[:-1]]))
        return np.repeat([tensor[chosen] for tensor in tensors], sizes)

    return game_of(roles, payoff)


def random_symmetric(seed, n, k):
    """A random symmetric game of n players, with its payoffs in the order of EGTtools."""
    roles = [Role("p", n, tuple("abcd"[:k]))]
    payoffs = np.random.default_rng(seed).normal(size=(number_of(n, k), k))
    rows = {tuple(row): at for at, row in enumerate(profiles_of(roles).tolist())}
    game = game_of(roles, lambda counts: payoffs[rows[tuple(counts.tolist())]])
    states = [
        tuple(egttools.sample_simplex(i, n, k).tolist())
        for i in range(egttools.calculate_nb_states(n, k))
    ]
    theirs = np.array([[payoffs[rows[state], s] for state in states] for s in range(k)])
    return game, theirs


def same(found, expected):
    """Whether two lists of mixes are the same but for rounding and order."""
    ours = sorted(np.round(e.mix, 5).tolist() for e in found)
    theirs = sorted(np.round(mix, 5).tolist() for mix in expected)
    return len(ours) == len(theirs) and np.allclose(ours, theirs, atol=2e-5)


# --- nashpy -------------------------------------------------------------------------------------


def supports(*matrices):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of an even number of equilibria, which it then misses
        return [*nashpy.Game(*matrices).support_enumeration()]


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("k", [2, 3])
def test_symmetric_games_of_two_have_nashpys_symmetric_equilibria(seed, k):
    matrix = np.random.default_rng(seed).normal(size=(k, k))
    expected = [x for x, y in supports(matrix, matrix.T) if np.allclose(x, y, atol=1e-9)]
    found = equilibria(symmetric("abc"[:k], matrix), starts=5)
    assert same(found, expected)
    assert all(e.regret < 1e-6 for e in found)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("shape", [(2, 2), (2, 3), (3, 3)])
def test_bimatrix_games_have_nashpys_equilibria(seed, shape):
    first, second = np.random.default_rng(seed).normal(size=(2, *shape))
    expected = [np.concatenate(pair) for pair in supports(first, second)]
    game = players(first, second)
    theirs, _ = gambit.equilibria(game)
    assert same(theirs, expected)
    # Ours finds what its starts lead to: nothing that is none.
    for e in equilibria(game, starts=2):
        assert any(np.allclose(e.mix, mix, atol=1e-6) for mix in expected)


# --- Gambit -------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(4))
def test_games_of_three_players_have_gambits_equilibria(seed):
    game = players(*np.random.default_rng(seed).normal(size=(3, 2, 2, 2)))
    theirs, how = gambit.equilibria(game)
    assert "enumpoly" in how
    assert theirs
    ours = equilibria(game, starts=2)
    for e in (*theirs, *ours):
        assert e.regret == game.regret(e.mix) < 1e-6
    for e in ours:
        assert any(np.allclose(e.mix, other.mix, atol=1e-4) for other in theirs)


@pytest.mark.parametrize("seed", range(3))
def test_gambit_computes_the_same_payoffs_and_regrets(seed):
    rng = np.random.default_rng(seed)
    tensors = rng.normal(size=(3, 3, 2, 2))
    game = players(*tensors)
    handed = pygambit.StrategicGame.from_arrays(*tensors)
    mixed = [rng.dirichlet(np.ones(size)) for size in (3, 2, 2)]
    profile = handed.mixed_strategy_profile(
        data=[[float(p) for p in part] for part in mixed], rational=False
    )
    mix = np.concatenate(mixed)
    assert profile.max_regret() == pytest.approx(game.regret(mix), abs=1e-9)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(2))
def test_a_random_game_of_three_with_three_strategies(seed):
    game = players(*np.random.default_rng(seed).normal(size=(3, 3, 3, 3)))
    theirs, _ = gambit.equilibria(game)
    for e in equilibria(game, starts=2):
        assert e.regret < 1e-6
        assert any(np.allclose(e.mix, other.mix, atol=1e-4) for other in theirs)


def test_two_by_two_by_two_by_hand():
    """Each of three players is paid 1 for being the only one on its side; else nothing.

    Two against one is an equilibrium: neither of the two gains by joining the third. All mixing
    evenly is one as well: both sides are alike then.
    """

    def paid(i):
        tensor = np.zeros((2, 2, 2))
        for at in np.ndindex(2, 2, 2):
            tensor[at] = at.count(at[i]) == 1
        return tensor

    game = players(*map(paid, range(3)))
    theirs, _ = gambit.equilibria(game)
    for expected in ([1, 0, 1, 0, 0, 1], [0.5] * 6):
        assert any(np.allclose(e.mix, expected, atol=1e-6) for e in theirs)
        assert game.regret(np.array(expected, dtype=float)) < 1e-12
    assert all(e.regret < 1e-6 for e in (*theirs, *equilibria(game, starts=2)))


def test_an_asymmetric_two_by_two_by_two_has_its_mixed_equilibrium():
    """a matches b with stake 1, b wants to differ from c with stake 2, c matches a with stake 3.

    Best replies go in a circle: each must be indifferent, so that all mix evenly, whatever the
    stakes are.
    """
    at = np.indices((2, 2, 2))
    stakes = (1.0 * (at[0] == at[1]), 2.0 * (at[1] != at[2]), 3.0 * (at[2] == at[0]))
    game = players(*stakes)
    theirs, how = gambit.equilibria(game)
    for found in (theirs, equilibria(game, starts=2)):
        assert same(found, [[0.5] * 6]), how
        assert found[0].regret < 1e-6


def test_gambit_finds_what_no_symmetric_search_can():
    """Hawk and dove as two players: the mixed equilibrium, and two in which they differ."""
    hawk = certain(symmetric(["hawk", "dove"], np.array([[-1, 4], [0, 2]])))
    own = solve(hawk, Settings(honest=("dove",)))
    both = solve(hawk, Settings(honest=("dove",), method="gambit"))
    assert len(own.found) == 1
    assert same(both.found, [[1, 0, 0, 1], [0, 1, 1, 0], [2 / 3, 1 / 3, 2 / 3, 1 / 3]])
    assert [*both.frames()] == [*own.frames()]
    assert both.verdict.startswith("player 1/dove and player 2/dove together are no equilibrium")
    assert both.honesty.gains[0].value == own.honesty.gains[0].value == 2
    assert both.prices.stability == own.prices.optimum / 4


@pytest.mark.parametrize("seed", range(4))
def test_players_apart_are_paid_as_together(seed):
    game, _ = random_symmetric(seed, 3, 2)
    alone = separate(game)
    mix = np.random.default_rng(seed).dirichlet(np.ones(2))
    expected = np.tile(game.deviation(mix), 3)
    np.testing.assert_allclose(alone.deviation(np.tile(mix, 3)), expected, atol=1e-12)
    assert apart(certain(alone)).game is alone or len(alone.roles) == 3


def test_a_zero_game_has_corners_that_are_all_equilibria():
    """Singular systems: what Gambit gives up on is said, and what comes back is checked."""
    game = players(*np.zeros((3, 2, 2, 2)))
    theirs, how = gambit.equilibria(game)
    assert len(theirs) == 8
    assert "on which it gave up" in how


def test_large_games_of_four_have_one_equilibrium_at_least(monkeypatch):
    monkeypatch.setattr(gambit, "MOST_SUPPORTS", 10)
    game = players(*np.random.default_rng(3).normal(size=(4, 2, 2, 2, 2)))
    theirs, how = gambit.equilibria(game)
    assert how.startswith("Gambit's logit: one of them")
    assert len(theirs) == 1
    assert theirs[0].regret < 1e-6


def test_games_that_gambit_does_not_solve_are_refused_in_a_line(monkeypatch):
    crowd = certain(game_of([Role("p", 20, ("a", "b"))], lambda counts: np.ones(2)))
    with pytest.raises(GameError, match='must be "own" for 20 players; Gambit is for 2 to 4'):
        solve(crowd, Settings(method="gambit"))
    monkeypatch.setitem(__import__("sys").modules, "pygambit", None)
    with pytest.raises(GameError, match=r"pip install fedstake\[games\]"):
        solve(certain(symmetric("ab", np.eye(2))), Settings(method="gambit"))


# --- EGTtools -----------------------------------------------------------------------------------


@pytest.mark.parametrize(("n", "k"), [(3, 2), (5, 2), (4, 3), (12, 3)])
def test_populations_fixate_as_egttools_says(n, k):
    game, theirs = random_symmetric(n + k, n, k)
    held = MatrixNPlayerGameHolder(k, n, theirs)
    population, intensity = 20, 0.7
    chain = PairwiseComparison(population, held)
    moves, fixations = chain.calculate_transition_and_fixation_matrix_sml(intensity)
    ours = dynamics.rare_mutations(game, population, intensity)
    off = ~np.eye(k, dtype=bool)
    np.testing.assert_allclose(ours.fixations[off], fixations[off], rtol=1e-9)
    # Its function wants columns that sum to 1: of the matrix as it is it returns the uniform one.
    np.testing.assert_allclose(ours.shares, calculate_stationary_distribution(moves.T), atol=1e-9)


@pytest.mark.parametrize(("n", "k"), [(3, 2), (6, 3), (4, 4)])
def test_the_replicator_moves_as_egttools_says(n, k):
    game, theirs = random_symmetric(n * k, n, k)
    rng = np.random.default_rng(0)
    for _ in range(5):
        mix = rng.dirichlet(np.ones(k))
        expected = replicator_equation_n_player(mix, theirs, n)
        np.testing.assert_allclose(dynamics.velocity(game, mix), expected, atol=1e-9)


# --- closed forms -------------------------------------------------------------------------------


@pytest.mark.parametrize("value", [2.0, 3.0])
@pytest.mark.parametrize("cost", [4.0, 7.0])
def test_hawks_are_as_many_as_the_prize_is_worth(value, cost):
    """v / c of them (Maynard Smith and Price 1973)."""
    matrix = np.array([[(value - cost) / 2, value], [0, value / 2]])
    game = symmetric(["hawk", "dove"], matrix)
    found = equilibria(game)
    assert same(found, [[value / cost, 1 - value / cost]])
    assert dynamics.stability(game, found[0].mix) == "stable"


@pytest.mark.parametrize("win", [0.5, 1.0, 2.0])
def test_rock_paper_scissors_turns_in_or_out_with_what_a_win_is_worth(win):
    """Stable if a win is worth more than a loss costs, unstable if less; always at a third."""
    game = symmetric("rps", np.array([[0, -1, win], [win, 0, -1], [-1, win, 0]]))
    found = equilibria(game)
    assert same(found, [[1 / 3] * 3])
    expected = {0.5: "unstable", 1.0: "neutral", 2.0: "stable"}[win]
    assert dynamics.stability(game, found[0].mix) == expected


@pytest.mark.parametrize("n", [20, 100])
@pytest.mark.parametrize("factor", [0.5, 3.0])
def test_a_public_good_is_kept_unless_a_gift_returns_to_the_giver(n, factor):
    def payoff(counts):
        share = factor * counts[0] / n
        return np.array([share - 1, share])

    game = game_of([Role("player", n, ("give", "keep"))], payoff)
    found = equilibria(game, starts=5)
    assert same(found, [[0, 1]])
    assert found[0].regret < 1e-6
    assert game.gains(np.array([1.0, 0.0]))[1] == pytest.approx(1 - factor / n)


def test_alpha_rank_of_two_strategies_is_the_ratio_of_two_geometric_sums():
    """b beats a by 0.3, whoever plays: rho_b / rho_a = exp((m - 1) alpha 0.3)."""
    game = symmetric("ab", np.array([[1.0, 1.0], [1.3, 1.3]]))
    ranked = dynamics.alpha_rank(game, population=10, alpha=1.0)
    assert ranked.shares[1] / ranked.shares[0] == pytest.approx(math.exp(9 * 0.3))
