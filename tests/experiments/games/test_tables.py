"""Payoff tables: files that come back as they were, files that are refused, fewer players."""

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import stdtrit

from experiments.games.game import GameError, Role, game_of, profiles_of, symmetric
from experiments.games.solution import Settings, solve
from experiments.games.table import (
    certain,
    frame,
    full_profile,
    of_samples,
    read_csv,
    to_nfg,
)

DILEMMA = symmetric(["C", "D"], np.array([[3, 0], [5, 1]]))
GOOD = "count:C,count:D,payoff:C,payoff:D\n2,0,3,\n1,1,0,5\n0,2,,1\n"


def written(tmp_path, text):
    path = tmp_path / "table.csv"
    path.write_text(text)
    return path


def test_a_table_is_read_in_any_order(tmp_path):
    lines = GOOD.splitlines()
    shuffled = "\n".join([lines[0], *reversed(lines[1:])])
    table = read_csv(written(tmp_path, shuffled))
    np.testing.assert_array_equal(table.game.payoffs, DILEMMA.payoffs)
    assert table.game.names == ("C", "D")
    assert not table.uncertain


@given(data=st.data())
def test_a_table_comes_back_as_it_was(tmp_path_factory, data):
    roles = [Role("a", data.draw(st.integers(1, 3)), ("x", "y"))]
    if data.draw(st.booleans()):
        roles.append(Role("b", data.draw(st.integers(1, 2)), ("u", "v", "w")))
    numbers = st.floats(-1e6, 1e6)
    seeds = data.draw(st.integers(2, 4))
    samples = {
        tuple(counts): np.array(
            data.draw(
                st.lists(
                    st.lists(numbers, min_size=len(counts), max_size=len(counts)),
                    min_size=seeds,
                    max_size=seeds,
                )
            )
        )
        for counts in profiles_of(roles).tolist()
    }
    table = of_samples(roles, samples)
    path = tmp_path_factory.mktemp("table") / "t.csv"
    frame(table).to_csv(path, index=False)
    again = read_csv(path)
    np.testing.assert_allclose(again.game.payoffs, table.game.payoffs)
    np.testing.assert_allclose(again.errors, table.errors, atol=1e-6)
    assert again.seeds.tolist() == table.seeds.tolist()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "has no lines"),
        ("a,b\n1,2\n", "has no columns count:STRATEGY"),
        (GOOD.replace(",", ";"), "must be separated by commas"),
        (GOOD.replace("2,0,3,", "2,0,3,7"), "payoff:D = '7': must be empty, nobody plays it"),
        (GOOD.replace("2,0,3,", "2,0,1e308,"), "must be a finite number"),
        ("count:C,payoff:C,seeds\n2,3,0\n", "seeds = 0: must be at least 1"),
        ("count:C,payoff:C,sd:C,seeds\n2,3,1,1\n", "seeds = 1: must be at least 2"),
        ("count:C,payoff:C,sd:C,seeds\n2,3,-1,3\n", "a standard deviation is below 0"),
        ("count:C\n2\n", "has count:C, and no column payoff:C"),
        (GOOD.replace("payoff:D", "pay:D"), "has count:D, and no column payoff:D"),
        (GOOD.replace("\n1,1", "\n1,2"), "line 3: has other numbers of players than line 2"),
        (GOOD + "2,0,3,\n", "line 5: is the profile of line 2 again"),
        (GOOD.replace("2,0,3,", "2.5,0,3,"), "line 2: count:C = '2.5': must be 0, 1, 2, ..."),
        (GOOD.replace("2,0,3,", "2,0,x,"), "line 2: payoff:C = 'x': must be a finite number"),
        (GOOD.replace("2,0,3,", "2,0,inf,"), "payoff:C = 'inf': must be a finite number"),
        (GOOD.replace("payoff:C", "count:C"), "has count:C, and no column payoff:C"),
        ("count:a/C,count:D,payoff:a/C,payoff:D\n1,1,1,1\n", "some strategies have a role"),
        ("count:a\x1b,payoff:a\x1b\n1,1\n", "must name a strategy"),
    ],
)
def test_a_table_that_is_none_is_refused_in_a_line(tmp_path, text, message):
    with pytest.raises(GameError, match=re.escape(message)) as refused:
        read_csv(written(tmp_path, text))
    assert "\n" not in str(refused.value)
    assert "table.csv" in str(refused.value)


def test_a_table_without_all_profiles_has_no_solution(tmp_path):
    table = read_csv(written(tmp_path, GOOD.replace("1,1,0,5\n", "")))
    with pytest.raises(GameError, match="1 of 3 profiles are not known"):
        solve(table)


# --- Gambit -------------------------------------------------------------------------------------


def test_gambits_form_names_every_player_the_first_fastest():
    lines = to_nfg(DILEMMA, 'a "game"').splitlines()
    assert lines[0] == 'NFG 1 R "a \'game\'" { "player 1" "player 2" }'
    assert lines[1:4] == ['{ { "C" "D" }', '{ "C" "D" } }', '""']
    assert lines[5:] == ["3 3", "5 0", "0 5", "1 1"]


def test_games_that_are_too_large_for_gambit_are_refused():
    game = game_of([Role("p", 20, ("a", "b"))], lambda counts: np.ones(2))
    with pytest.raises(GameError, match=r"too many for \.nfg"):
        to_nfg(game, "large")


# --- fewer players ------------------------------------------------------------------------------


def test_a_reduced_profile_preserves_deviations():
    """Of 13 players as 5: the others of four reduced players are three each."""
    assert full_profile([3, 2], 0, 13) == [7, 6]
    assert full_profile([3, 2], 1, 13) == [9, 4]
    with pytest.raises(GameError, match="20 players reduce to 2, 20 players"):
        full_profile([3, 2], 0, 20)


def test_a_reduced_game_of_a_linear_game_has_its_equilibrium():
    """Payoffs that are linear in the share of others: the reduced game is the same game."""

    def paid(counts):
        n = sum(counts)
        found = np.empty(2)
        for s in range(2):
            others = [c - (s == i) for i, c in enumerate(counts)]
            hawks = others[0] / (n - 1)
            found[s] = [-1 * hawks + 4 * (1 - hawks), 2 * (1 - hawks)][s]
        return found

    full = game_of([Role("p", 13, ("hawk", "dove"))], lambda counts: paid(counts.tolist()))

    def reduced(counts):
        views = [full_profile(counts.tolist(), s, 13) for s in range(2) if counts[s]]
        values = iter(views)
        return np.array([full.payoff(next(values))[s] if counts[s] else np.nan for s in range(2)])

    small = game_of([Role("p", 5, ("hawk", "dove"))], reduced)
    mixes = [solve(certain(g)).found[0].mix for g in (full, small)]
    np.testing.assert_allclose(mixes[0], mixes[1], atol=1e-8)


# --- solutions ----------------------------------------------------------------------------------


def test_the_verdict_names_the_deviation_and_its_gain():
    honest = solve(certain(DILEMMA), Settings(honest=("C",)))
    assert honest.verdict == "C is no equilibrium: D gains 2"
    assert solve(certain(DILEMMA), Settings(honest=("D",))).verdict.startswith("D is an equilib")
    assert honest.gains_frame()["strategy"].tolist() == ["D", "C"]
    assert honest.stable_frame()[["count:C", "count:D"]].to_numpy().tolist() == [[0, 2]]
    assert honest.basins == (1.0,)


def noisy(spread, seeds=12, gain=0.5):
    rng = np.random.default_rng(3)
    roles = [Role("p", 2, ("honest", "lazy"))]
    truth = {(2, 0): [1, 0], (1, 1): [0.5, 1 + gain], (0, 2): [0, 0.2]}
    samples = {
        counts: np.array(paid) + rng.normal(0, spread, (seeds, 2)) for counts, paid in truth.items()
    }
    return of_samples(roles, samples)


def test_a_verdict_is_undecided_while_the_interval_holds_zero():
    sure = solve(noisy(0.05), Settings(honest=("honest",)))
    assert sure.verdict.startswith("honest is no equilibrium: lazy gains 0.")
    unsure = solve(noisy(3.0), Settings(honest=("honest",)))
    assert unsure.verdict.startswith("undecided")
    safe = solve(noisy(0.05, gain=-0.5), Settings(honest=("honest",)))
    assert safe.verdict == "honest is an equilibrium: nobody gains by another strategy"


def test_a_bound_on_regret_is_above_it():
    found = solve(noisy(0.3), Settings(honest=("honest",)))
    for bound in found.regrets:
        assert bound.low <= bound.value <= bound.high


# --- drawn again --------------------------------------------------------------------------------


def shared_effects(seeds, rng):
    """Payoffs of two strategies in which a good seed is good for everybody, everywhere."""
    effect = 100.0 * rng.standard_normal(seeds)
    counts = {(2, 0): (5.0, np.nan), (1, 1): (5.0, 6.0), (0, 2): (np.nan, 6.0)}
    return {profile: effect[:, None] + np.array(paid) for profile, paid in counts.items()}


def test_what_a_seed_does_to_all_profiles_cancels_in_gains():
    table = of_samples([Role("player", 2, ("a", "b"))], shared_effects(8, np.random.default_rng(0)))
    rng = np.random.default_rng(1)
    honest = table.game.pure(["a"])
    gains = np.array([table.resampled(rng).gains(honest) for _ in range(200)])
    assert np.abs(gains[:, 1] - 1.0).max() < 1e-9
    again = np.array([table.resampled(rng).payoffs[0, 0] for _ in range(200)])
    assert again.std() > 20


@pytest.mark.parametrize("seeds", [3, 10])
def test_payoffs_of_few_seeds_are_drawn_from_students_distribution(seeds):
    rng = np.random.default_rng(2)
    table = of_samples([Role("player", 2, ("a", "b"))], shared_effects(seeds, rng))
    drawn = np.array([table.resampled(rng).payoffs[0, 0] for _ in range(20_000)])
    z = (drawn - table.game.payoffs[0, 0]) / table.errors[0, 0]
    for q in (0.6, 0.9, 0.975):
        expected = float(stdtrit(seeds - 1, q))
        assert np.quantile(z, q) == pytest.approx(expected, rel=0.08, abs=0.02)
