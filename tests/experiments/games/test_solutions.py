"""Solvers against closed forms."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from experiments.games import dynamics
from experiments.games.equilibria import (
    efficiency,
    equilibria,
    polished,
    quiesce,
    stable_profiles,
)
from experiments.games.game import (
    GameError,
    Role,
    compositions,
    game_of,
    number_of,
    profiles_of,
    symmetric,
)

DILEMMA = symmetric(["C", "D"], np.array([[3, 0], [5, 1]]))
STAG = symmetric(["stag", "hare"], np.array([[4, 0], [3, 2]]))
HAWK = symmetric(["hawk", "dove"], np.array([[-1, 4], [0, 2]]))
RPS = symmetric("rps", np.array([[0, -1, 1], [1, 0, -1], [-1, 1, 0]]))


def public_goods(n, factor=3.0, cost=1.0):
    def payoff(counts):
        share = factor * cost * counts[0] / n
        return np.array([share - cost, share])

    return game_of([Role("player", n, ("give", "keep"))], payoff)


def mixes(found):
    return [np.round(e.mix, 6).tolist() for e in found]


# --- games ----------------------------------------------------------------------------------


@given(st.integers(0, 6), st.integers(1, 4))
def test_compositions_are_all_ways_to_count(players, strategies):
    found = compositions(players, strategies)
    every = itertools.product(range(players + 1), repeat=strategies)
    expected = {c for c in every if sum(c) == players}
    assert {tuple(row) for row in found.tolist()} == expected
    assert len(found) == len(expected) == number_of(players, strategies)


def test_payoffs_of_deviations_are_expectations_over_independent_opponents():
    rng = np.random.default_rng(1)
    roles = [Role("a", 3, ("x", "y")), Role("b", 2, ("u", "v", "w"))]
    table = rng.normal(size=(4 * 6, 5))
    profiles = profiles_of(roles).tolist()
    game = game_of(roles, lambda counts: table[profiles.index(counts.tolist())])
    mix = np.array([0.3, 0.7, 0.2, 0.5, 0.3])
    expected = np.zeros(5)
    for s in range(5):
        own_a = s < 2
        a, b = (2, 2) if own_a else (3, 1)
        for plays_a in itertools.product(range(2), repeat=a):
            for plays_b in itertools.product(range(2, 5), repeat=b):
                counts = np.bincount([*plays_a, *plays_b, s], minlength=5)
                chance = math.prod(mix[[*plays_a, *plays_b]])
                expected[s] += chance * game.payoff(counts)[s]
    np.testing.assert_allclose(game.deviation(mix), expected, atol=1e-12)
    slopes = np.empty((5, 5))
    for t in range(5):
        step = np.zeros(5)
        step[t] = 1e-6
        slopes[:, t] = (game.deviation(mix + step) - game.deviation(mix - step)) / 2e-6
    np.testing.assert_allclose(game.jacobian(mix), slopes, atol=1e-7)


def test_slopes_at_the_edge_are_one_sided_limits():
    mix, near = np.array([1.0, 0.0]), np.array([1.0, 1e-9])
    game = public_goods(5)
    limit = (game.deviation(near) - game.deviation(mix)) / 1e-9
    np.testing.assert_allclose(game.jacobian(mix)[:, 1], limit, rtol=1e-5)


def test_a_restricted_game_is_the_game_without_the_other_strategies():
    inner = RPS.restricted(np.array([True, False, True]))
    assert inner.names == ("r", "s")
    assert inner.payoff([1, 1]).tolist() == [1, -1]


def test_what_is_no_game_is_refused():
    with pytest.raises(GameError, match="square"):
        symmetric(["a", "b"], np.zeros((2, 3)))
    with pytest.raises(GameError, match="profiles are too many"):
        profiles_of([Role("p", 200, tuple("abcdef"))])
    with pytest.raises(GameError, match="'x' is no strategy; there are C, D"):
        DILEMMA.pure(["x"])


# --- equilibria -----------------------------------------------------------------------------


THIRDS = [round(2 / 3, 6), round(1 / 3, 6)]


@pytest.mark.parametrize("solve", [equilibria, quiesce])
def test_textbook_games_have_the_equilibria_of_textbooks(solve):
    assert mixes(solve(DILEMMA)) == [[0, 1]]
    assert mixes(solve(HAWK)) == [THIRDS]
    assert mixes(solve(RPS)) == [[round(1 / 3, 6)] * 3]


def test_a_stag_hunt_has_three_of_which_small_sets_lead_to_two():
    assert sorted(mixes(equilibria(STAG))) == [[0, 1], THIRDS, [1, 0]]
    assert sorted(mixes(quiesce(STAG))) == [[0, 1], [1, 0]]


@pytest.mark.parametrize("n", [20, 100])
def test_nobody_gives_to_a_public_good(n):
    game = public_goods(n)
    found = equilibria(game, starts=10)
    assert mixes(found) == [[0, 1]]
    prices = efficiency(game, found)
    assert prices.optimum == pytest.approx(n * 2)
    assert prices.worst == prices.best == pytest.approx(0)
    assert math.isnan(prices.anarchy)
    assert prices.lost == pytest.approx(2 * n)


def test_a_threshold_public_good_has_its_mixed_equilibria():
    """n players, a good of value v if at least one gives at cost c: 1 - (c/v)^(1/(n-1)) give."""
    n, v, c = 20, 1.0, 0.3

    def payoff(counts):
        good = v if counts[0] else 0.0
        return np.array([good - c, good])

    game = game_of([Role("player", n, ("give", "keep"))], payoff)
    found = equilibria(game)
    gives = 1 - (c / v) ** (1 / (n - 1))
    assert [e.mix[0] for e in found] == pytest.approx([gives], abs=1e-9)
    assert stable_profiles(game).tolist() == [[1, n - 1]], "one volunteer"


def test_three_different_players():
    """Each wants to match the next and the last to differ from the first: mixed alone (1/2)^3."""
    roles = [Role(name, 1, ("0", "1")) for name in "abc"]

    def payoff(counts):
        a, b, c = counts[1], counts[3], counts[5]
        paid = [a == b, b == c, c != a]
        return np.repeat(np.array(paid, dtype=float), 2)

    game = game_of(roles, payoff)
    found = equilibria(game)
    assert mixes(found) == [[0.5] * 6]
    assert found[0].regret < 1e-12
    assert len(stable_profiles(game)) == 0


@settings(max_examples=15)
@given(st.integers(0, 10_000))
def test_what_is_returned_has_the_regret_that_it_says(seed):
    rng = np.random.default_rng(seed)
    table = rng.normal(size=(number_of(4, 3), 3))
    profiles = profiles_of([Role("p", 4, tuple("abc"))]).tolist()
    game = game_of(
        [Role("p", 4, tuple("abc"))], lambda counts: table[profiles.index(counts.tolist())]
    )
    found = equilibria(game, starts=4)
    assert found, "a symmetric equilibrium exists"
    for e in found:
        assert game.regret(e.mix) == e.regret < 1e-6 * game.spread
        assert e.mix.sum() == pytest.approx(1)
        assert (e.mix >= 0).all()


def test_a_polished_mix_is_never_worse():
    near = np.array([0.65, 0.35])
    assert HAWK.regret(polished(HAWK, near)) < 1e-12 < HAWK.regret(near)
    outside = np.array([0.5, 0.5])
    assert DILEMMA.regret(polished(DILEMMA, outside)) <= DILEMMA.regret(outside)


def test_the_price_of_anarchy_of_a_dilemma():
    prices = efficiency(DILEMMA, equilibria(DILEMMA))
    assert (prices.optimum, prices.worst) == (6, 2)
    assert prices.anarchy == prices.stability == 3


# --- dynamics -------------------------------------------------------------------------------


def test_the_replicator_follows_its_logistic_solution():
    """Of constant payoffs 1 and 0 the share is x0 e^t / (1 - x0 + x0 e^t)."""
    game = symmetric(["a", "b"], np.array([[1, 1], [0, 0]]))
    followed = dynamics.path(game, np.array([0.1, 0.9]), time=5, points=11)
    t = np.linspace(0, 5, 11)
    np.testing.assert_allclose(followed[:, 0], 0.1 * np.exp(t) / (0.9 + 0.1 * np.exp(t)), atol=1e-9)


def test_the_replicator_keeps_the_product_of_rock_paper_scissors():
    followed = dynamics.path(RPS, np.array([0.5, 0.3, 0.2]), time=30)
    np.testing.assert_allclose(followed.prod(axis=1), 0.03, rtol=1e-6)


def test_a_logit_equilibrium_answers_itself():
    mix = dynamics.logit(HAWK, 2.0)
    dev = 2.0 * HAWK.deviation(mix)
    assert mix[0] == pytest.approx(1 / (1 + np.exp(dev[1] - dev[0])), abs=1e-9)
    assert dynamics.logit(RPS, 5.0) == pytest.approx([1 / 3] * 3)
    assert dynamics.logit(DILEMMA, 0.0) == pytest.approx([0.5] * 2)


# --- finite populations -----------------------------------------------------------------------


@pytest.mark.parametrize("n", [2, 5])
def test_a_neutral_invader_takes_over_once_in_as_many_as_there_are(n):
    game = game_of([Role("p", n, ("a", "b"))], lambda counts: np.ones(2))
    assert dynamics.fixation(game, 0, 1, 30, 1.0) == pytest.approx(1 / 30)


@pytest.mark.parametrize("n", [2, 5])
def test_fixation_with_a_constant_advantage(n):
    """rho = (1 - e^-bd) / (1 - e^-Zbd), with d the advantage and b the intensity."""
    game = game_of([Role("p", n, ("a", "b"))], lambda counts: np.array([1.0, 1.3]))
    expected = (1 - math.exp(-0.6)) / (1 - math.exp(-20 * 0.6))
    assert dynamics.fixation(game, 0, 1, 20, 2.0) == pytest.approx(expected)
    against = (1 - math.exp(0.6)) / (1 - math.exp(20 * 0.6))
    assert dynamics.fixation(game, 1, 0, 20, 2.0) == pytest.approx(against)


def test_fixation_in_a_dilemma_by_the_product():
    population, intensity = 12, 0.5
    product, total = 1.0, 1.0
    for k in range(1, population):
        others = population - 1
        d = (5 * (population - k) + 1 * (k - 1)) / others
        c = (3 * (population - k - 1) + 0 * k) / others
        product *= math.exp(-intensity * (d - c))
        total += product
    assert dynamics.fixation(DILEMMA, 0, 1, population, intensity) == pytest.approx(1 / total)


def test_two_strategies_are_ranked_by_the_ratio_of_their_fixations():
    ranked = dynamics.alpha_rank(STAG, population=20, alpha=0.2)
    to, back = ranked.fixations[0, 1], ranked.fixations[1, 0]
    np.testing.assert_allclose(ranked.shares, np.array([back, to]) / (to + back))


def test_rock_paper_scissors_is_ranked_evenly_and_a_dilemma_is_not():
    assert dynamics.alpha_rank(RPS).shares == pytest.approx([1 / 3] * 3)
    assert dynamics.alpha_rank(DILEMMA).shares == pytest.approx([0, 1], abs=1e-12)


def test_alpha_rank_of_two_roles_by_hand():
    """Matching pennies: every joint strategy is left by one population, with the same chance."""
    roles = [Role("row", 1, ("h", "t")), Role("column", 1, ("h", "t"))]

    def payoff(counts):
        same = counts[0] == counts[2]
        return np.array([same, same, not same, not same], dtype=float)

    ranked = dynamics.alpha_rank(game_of(roles, payoff), population=10, alpha=1.0)
    assert ranked.shares == pytest.approx([0.25] * 4)
    expected = (1 - math.exp(-1)) / (1 - math.exp(-10))
    assert np.nanmax(ranked.fixations) == pytest.approx(expected)


def test_stationary_shares_survive_tiny_probabilities():
    never, tiny = -math.inf, -2_000.0
    twice = tiny + math.log(2)
    logs = [[never, tiny, never], [twice, never, tiny], [never, tiny, never]]
    shares = dynamics.stationary(np.array(logs))
    assert shares == pytest.approx([0.5, 0.25, 0.25])
