"""Learners beside the solution of a game: measured in closed form, played, recorded, drawn."""

import numpy as np
import pandas as pd
import pytest

from experiments.figures import game_figures
from experiments.figures.base import SCREEN, Look, style
from experiments.games.game import GameError, symmetric
from experiments.games.learning import COLUMNS, read_shares
from experiments.games.record import open_game
from experiments.games.solution import Settings, learning_text, solve
from experiments.games.table import certain
from tests.experiments.games.test_game_command import SIMULATED, game

HAWK_DOVE = np.array([[-1.0, 4.0], [0.0, 2.0]])
"""Value 4, cost 6: hawks are 2/3 of the players in the mixed equilibrium."""
LEARNING = SIMULATED.replace(
    "[solve]",
    """[simulated.learning]
rounds = 6
seeds = 2
learner = "imitation"

[solve]""",
)
FIGURE = next(figure for figure in game_figures() if figure.name == "learning")


def shares(path):
    """Hawks' share by round, the same in two seeds, and that of doves."""
    rows = []
    for seed in range(2):
        for at, hawks in enumerate(path, 1):
            rows += [(seed, at, "hawk", hawks), (seed, at, "dove", 1 - hawks)]
    return pd.DataFrame(rows, columns=COLUMNS)


def hawk_dove():
    return solve(certain(symmetric(("hawk", "dove"), HAWK_DOVE)), Settings(starts=5))


def test_where_learners_end_is_compared_with_the_nearest_equilibrium():
    solution = hawk_dove()
    at_rest = solution.with_learners(shares([0.1, 0.5, 0.6, 2 / 3])).learned
    assert at_rest.regret == pytest.approx(0.0, abs=1e-9)
    assert at_rest.distance == pytest.approx(0.0, abs=1e-6)
    away = solution.with_learners(shares([0.9, 0.5, 0.5, 0.5])).learned
    # Against half hawks a hawk is paid 1.5, a dove 1, and the mix 1.25.
    assert away.regret == pytest.approx(0.25)
    assert away.distance == pytest.approx(2 / 3 - 0.5)
    assert "learners end at hawk 50 %, dove 50 %" in learning_text(
        solution.with_learners(away.shares)
    )
    over = away.over_rounds()
    assert over[over["strategy"] == "hawk"]["share"].tolist() == [0.9, 0.5, 0.5, 0.5]


def test_learners_are_drawn_where_there_are_any():
    solution = hawk_dove()
    assert FIGURE.data(solution).empty
    table = FIGURE.data(solution.with_learners(shares([0.2, 0.4, 0.6, 0.7])))
    with style():
        for look in (Look(), Look(width=SCREEN, stacked=True)):
            assert FIGURE.draw(table, look).canvas.axes


@pytest.mark.slow
def test_learners_play_are_recorded_and_shown_again(tmp_path):
    done = game(tmp_path, LEARNING, "--workers", "1")
    assert done.exit_code == 0, done.output
    assert "learners end at" in done.output
    out = tmp_path / "out"
    found = pd.read_csv(out / "learners.csv")
    assert len(found) == 2 * 6 * 2
    assert found.groupby(["seed", "round"])["share"].sum().tolist() == pytest.approx([1.0] * 12)
    # Three devices play: shares are thirds.
    assert np.allclose(found["share"] * 3, (found["share"] * 3).round())
    assert "Learners end at" in (out / "report.html").read_text()
    again = open_game(out).solution
    assert again.learned.shares.equals(found)
    found.assign(share=2.0).to_csv(out / "learners.csv", index=False)
    with pytest.raises(GameError, match="share: must be a number from 0 to 1"):
        read_shares(out / "learners.csv", again.game)


@pytest.mark.parametrize(
    ("old", "new", "part"),
    [
        ('worker = "free-ride-zero"', 'worker = "lazy", count = 2', "simulated.strategies.lazy"),
        ('worker = "free-ride-zero"', 'worker = "honest"', "another behaviour than honest"),
        ('learner = "imitation"', 'learner = "oracle"', "oracle"),
    ],
)
def test_what_cannot_be_learned_is_told_in_one_line(tmp_path, old, new, part):
    from experiments.games.estimate import Estimate
    from experiments.games.learners import play_learners
    from experiments.games.spec import load_game
    from fedstake.errors import FedstakeError

    file = tmp_path / "game.toml"
    file.write_text(LEARNING.replace(old, new))
    with pytest.raises(FedstakeError) as error:
        play_learners(Estimate(load_game(file), tmp_path / "out"), lambda sweep: None)
    assert part in str(error.value)
    assert "\n" not in str(error.value)
