"""The report of a game: drawn for what it is, made again as it was, and safe from strangers."""

import json

import numpy as np
import pandas as pd
import pytest

from experiments.figures import game_figures
from experiments.figures.base import SCREEN, Look, style
from experiments.games.estimate import _blur
from experiments.games.game import Role, game_of, profiles_of, symmetric
from experiments.games.record import RecordedGame, Stage, open_game, write_game
from experiments.games.solution import Settings, solve
from experiments.games.spec import GameSpec
from experiments.games.table import certain, of_samples
from experiments.recorded import RunError
from experiments.reports import open_recorded, report
from fedstake.errors import InputError
from fedstake.outside import seal

FIGURES = {figure.name: figure for figure in game_figures()}


def crowd(names=("honest", "lazy")):
    rng = np.random.default_rng(4)
    roles = [Role("player", 3, tuple(names))]
    drawn = {tuple(c): rng.normal(size=(4, len(names))) for c in profiles_of(roles).tolist()}
    return of_samples(roles, drawn)


def learners(names=("honest", "lazy")):
    """All learners play the first strategy, in each of three rounds and two seeds."""
    rows = [
        (s, r, name, float(name == names[0])) for s in (0, 1) for r in (1, 2, 3) for name in names
    ]
    return pd.DataFrame(rows, columns=["seed", "round", "strategy", "share"])


def two_roles():
    roles = [Role("row", 1, ("l", "r")), Role("column", 1, ("u", "d"))]
    return certain(game_of(roles, lambda c: np.repeat([c[0] == c[2], 2 * (c[1] == c[3])], 2)))


def recorded(folder, table=None, **solve_keys):
    keys = {"honest": ["honest"], **solve_keys}
    game = {"strategies": {"honest": {}, "lazy": {"worker": "lazy"}}, "scenario": "/a/b/vbfl.toml"}
    spec = GameSpec.model_validate({"name": "g", "simulated": {**game, "runs": 20}, "solve": keys})
    stages = (Stage(profiles=4, seeds=4),)
    found = RecordedGame(folder, spec, table or crowd(), stages, learners=learners())
    write_game(found)
    return found


def test_each_figure_is_drawn_for_the_games_it_fits():
    three = certain(symmetric("abc", np.array([[0, -1, 1], [1, 0, -1], [-1, 1, 0]])))
    kinds = {
        "two": solve(crowd(), Settings(honest=("honest",))),
        "three": solve(three, Settings(starts=5)),
        "roles": solve(two_roles(), Settings(starts=5)),
    }
    drawn = {
        kind: [name for name, figure in FIGURES.items() if len(figure.data(solution))]
        for kind, solution in kinds.items()
    }
    assert drawn == {
        "two": ["deviations", "flow", "payoffs-by-count", "basins", "dynamics"],
        "three": ["flow", "basins", "dynamics"],
        "roles": ["flow", "basins", "dynamics"],
    }
    with style():
        for kind, names in drawn.items():
            for name in names:
                table = FIGURES[name].data(kinds[kind])
                for look in (Look(), Look(width=SCREEN, stacked=True)):
                    sheet = FIGURES[name].draw(table, look)
                    assert sheet.canvas.axes


def test_nothing_is_cut_off_under_long_names():
    names = ("honest and rather long in name", "lazy on every second round it plays")
    solved = solve(crowd(names), Settings(honest=names[:1], starts=5))
    solution = solved.with_learners(learners(names))
    with style():
        for figure in FIGURES.values():
            canvas = figure.draw(figure.data(solution), Look(width=SCREEN, stacked=True)).canvas
            canvas.draw_without_rendering()
            box = canvas.get_tightbbox()
            assert box.x0 >= -0.02, figure.name
            assert box.x1 <= SCREEN + 0.02, figure.name


def test_flow_goes_where_payoffs_are_higher():
    solution = solve(certain(symmetric(["C", "D"], np.array([[3, 0], [5, 1]]))))
    table = FIGURES["flow"].data(solution)
    inside = table[(table["kind"] == "flow") & table["share:C"].between(0.01, 0.99)]
    assert (inside["velocity:D"] > 0).all()
    np.testing.assert_allclose(inside["velocity:C"], -inside["velocity:D"])
    assert table[table["kind"] == "stable"]["share:D"].tolist() == [1.0]
    np.testing.assert_allclose(inside["difference"], -1 - inside["share:C"])


def test_shares_of_starts_are_all_the_starts():
    table = FIGURES["basins"].data(solve(two_roles(), Settings(starts=10)))
    assert table["share"].sum() == pytest.approx(1)
    assert (table["low"] <= table["share"]).all()
    assert (table["share"] <= table["high"]).all()


def test_the_report_says_the_answer_first_and_is_made_again_as_it_was(tmp_path):
    game = recorded(tmp_path / "g")
    page = report(game)
    assert page == tmp_path / "g" / "report.html"
    text = page.read_text()
    assert text.index(game.solution.verdict) < text.index("<figure")
    assert "16 runs: 4 seeds of each profile" in text
    assert "gave every profile 4 seeds" in text
    assert "/a/b" not in text, "no folder of the machine that made it"
    for name in FIGURES:
        assert (tmp_path / "g" / f"{name}.csv").is_file()
    again = open_recorded(tmp_path / "g")
    np.testing.assert_array_equal(again.table.samples[0], game.table.samples[0])
    assert report(again).read_text() == text


def test_a_damaged_game_is_refused_in_a_line(tmp_path):
    recorded(tmp_path)
    header = json.loads((tmp_path / "game.json").read_text())
    del header["sha256"]
    samples = (tmp_path / "samples.csv").read_text()
    (tmp_path / "samples.csv").write_text(samples.replace("1", "2", 1))
    with pytest.raises(RunError, match=r"samples.csv: damaged"):
        open_game(tmp_path)
    (tmp_path / "samples.csv").write_text(samples)
    for change, message in (
        ({"schema_version": 9}, "of schema 9, this version reads"),
        ({"game": {"name": "g"}}, "must have exactly one of"),
        ({"game": {**header["game"], "solve": {"honest": ["lazy"], "starts": 10**9}}}, "starts"),
        ({"stages": 3}, "stages"),
        ({"payoffs": {"bytes": 1, "sha256": "0" * 64}}, "damaged"),
    ):
        (tmp_path / "game.json").write_text(seal({**header, **change}))
        with pytest.raises(InputError, match=message) as refused:
            open_recorded(tmp_path)
        assert "\n" not in str(refused.value)


def test_more_runs_go_only_to_strategies_that_may_still_gain():
    table = crowd(("honest", "lazy", "liar"))
    pure = np.array([1.0, 0.0, 0.0])
    some = np.array([False, True, False])
    blurred = _blur(table, pure, some)
    rows = table.game.profiles[blurred > 0].tolist()
    assert rows == [[3, 0, 0], [2, 1, 0]]
    honest = table.game.rows[np.array([3, 0, 0]).tobytes()]
    assert blurred[honest] == pytest.approx(table.errors[honest, 0] ** 2)
