"""`fedstake game`: from a file to the answer, and again where it stopped."""

import pandas as pd
import pytest
from typer.testing import CliRunner

from experiments.cli import app
from experiments.games.estimate import Estimate
from experiments.games.spec import load_game
from experiments.loader import ScenarioError
from experiments.results import Results

MATRIX = """
[matrix]
strategies = ["C", "D"]
payoffs = [[3, 0], [5, 1]]

[solve]
honest = ["C"]
"""
SIMULATED = """
name = "lazy"

[simulated]
scenario = "fedavg"
seeds = 2
runs = 11
strategies = { honest = {}, lazy = { worker = "free-ride-zero" } }

[simulated.set]
rounds = 1
devices = 3
"data.dataset" = "synthetic"
"data.params" = { train = 60, test = 20, features = 4, classes = 2 }
"data.partition" = "iid"
"data.validation_fraction" = 0.2
"model.name" = "softmax"
"training.epochs" = 1
"payout.mechanism" = "data-size"
"costs.compute_per_s" = 500.0
"network.compute_samples_per_s" = 10.0
adversaries = []

[solve]
honest = ["honest"]
"""


def game(tmp_path, text, *options):
    path = tmp_path / "game.toml"
    path.write_text(text)
    return CliRunner().invoke(app, ["game", str(path), "--out", str(tmp_path / "out"), *options])


@pytest.mark.slow
def test_a_matrix_is_solved(tmp_path):
    done = game(tmp_path, MATRIX, "--nfg", str(tmp_path / "game.nfg"))
    assert done.exit_code == 0, done.output
    first = done.output.splitlines()[0]
    assert first == "game: C is no equilibrium: D gains 2"
    assert "price of anarchy 3, of stability 3" in done.output
    found = pd.read_csv(tmp_path / "out" / "equilibria.csv")
    assert found[["share:C", "share:D", "welfare"]].to_numpy().tolist() == [[0, 1, 2]]
    assert (tmp_path / "game.nfg").read_text().startswith("NFG 1 R")
    # What was written is a game, too.
    again = CliRunner().invoke(app, ["game", str(tmp_path / "out" / "payoffs.csv")])
    assert again.exit_code == 0, again.output


@pytest.mark.slow
def test_a_game_of_two_roles(tmp_path):
    text = """
    [matrix]
    strategies = ["h", "t"]
    columns = ["h", "t"]
    payoffs = [[1, 0], [0, 1]]
    column_payoffs = [[0, 1], [1, 0]]
    """
    done = game(tmp_path, text)
    assert done.exit_code == 0, done.output
    found = pd.read_csv(tmp_path / "out" / "equilibria.csv")
    assert found.filter(like="share").to_numpy().round(6).tolist() == [[0.5] * 4]


@pytest.mark.slow
def test_payoffs_are_estimated_by_runs_and_never_twice(tmp_path):
    done = game(tmp_path, SIMULATED, "--workers", "1")
    assert done.exit_code == 0, done.output
    assert "11 runs" in done.output or "8 runs" in done.output
    table = pd.read_csv(tmp_path / "out" / "payoffs.csv")
    assert table[["count:honest", "count:lazy"]].to_numpy().tolist() == [
        [3, 0], [2, 1], [1, 2], [0, 3],
    ]  # fmt: skip
    # What a device was paid less what training cost it: the lazy train nothing and claim the same.
    gains = pd.read_csv(tmp_path / "out" / "gains.csv").set_index("strategy")["gain"]
    assert gains["lazy"] > gains["honest"]
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").rglob("*.parquet")}
    again = game(tmp_path, SIMULATED, "--workers", "1")
    assert again.exit_code == 0, again.output
    after = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").rglob("runs/*/*.parquet")}
    assert after.items() <= before.items()
    stages = sorted(path.name for path in (tmp_path / "out").glob("stage-*"))
    assert stages[0] == "stage-001"
    first = Results.open(tmp_path / "out" / "stage-001")
    assert len(first.runs()) == 8


def test_more_runs_go_where_the_answer_is_open(tmp_path):
    path = tmp_path / "game.toml"
    path.write_text(SIMULATED)
    estimate = Estimate(load_game(path), tmp_path)
    estimate._seeds = dict.fromkeys(estimate._seeds, 2)
    noisy, quiet = [100.0, -100.0], [0.0, 0.1]
    for profile in estimate._seeds:
        paid = noisy if profile == (2, 1) else quiet
        estimate._samples[profile] = [pd.Series([1.0 + x, 1.0 + x]).to_numpy() for x in paid]
    wanted = estimate._wanted(estimate.table(), estimate.spec.solve.settings())
    assert wanted[0] == (2, 1)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "must have exactly one of [table], [matrix] and [simulated]"),
        ('[matrix]\nstrategies = ["a"]\npayoffs = [[1, 2]]', "must be 1 x 1 numbers"),
        ("[matrix]\nstrategy = 1", "matrix.strategies: must be given"),
        (MATRIX.replace("payoffs =", "payofs = 1\npayoffs ="), "did you mean 'payoffs'?"),
        (MATRIX.replace('"C", "D"', '"C", "C"'), "matrix.strategies"),
        (MATRIX.replace("[5, 1]", "[5, inf]"), "matrix.payoffs"),
        (MATRIX.replace('honest = ["C"]', 'honest = ["X"]'), "solve.honest = 'X': must be one of"),
        (SIMULATED.replace("runs = 11", "foo = 1"), "simulated.foo = 1: unknown key"),
        ('[table]\nfile = "gone.csv"', "gone.csv: no such file"),
        (
            SIMULATED.replace("lazy = {", "honest2 = {}, lazy = {"),
            "exactly one of them with",
        ),
        (SIMULATED.replace("runs = 11", "runs = 3"), "0, or at least 8"),
        (
            SIMULATED.replace('honest = ["honest"]', 'honest = ["good"]'),
            "solve.honest = 'good': must be one of honest, lazy",
        ),
        (SIMULATED.replace("devices = 3", "devices = 1"), "leaves 1 players"),
        (SIMULATED.replace('"free-ride-zero" }', '"lazzy" }'), "lazzy"),
    ],
)
def test_what_is_no_game_is_refused_in_a_line(tmp_path, text, message):
    done = game(tmp_path, text, "--workers", "1")
    assert done.exit_code == 2, done.output
    assert message in done.output
    assert done.output.count("\n") == 1


@pytest.mark.slow
def test_a_measure_that_is_not_there_is_named(tmp_path):
    text = SIMULATED.replace("seeds = 2", 'seeds = 2\nmeasure = "joy"')
    done = game(tmp_path, text, "--workers", "1")
    assert done.exit_code == 2
    assert "simulated.measure = 'joy': a column of table participants" in done.output


def test_load_game_names_the_file(tmp_path):
    with pytest.raises(ScenarioError, match=r"gone.toml: no such file"):
        load_game(tmp_path / "gone.toml")
