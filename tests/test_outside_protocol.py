"""A game in one file, played by path: nothing else of the house knows of it."""

import json
import shutil
from pathlib import Path

import pandas as pd
import pytest
from typer.testing import CliRunner

import fedstake as fs
from chain_bridge.devchain import install, server
from chain_bridge.errors import BridgeError
from experiments import checkpoint
from experiments.cli import app
from experiments.conformance.protocols import ProtocolConformance, digest, play
from mechanisms.registry import import_by_path
from sim.world import World

LOTTERY = Path(__file__).parent / "plugins" / "lottery.py"
SCENARIO = """
name = "lottery"
protocol = "lottery.py:Lottery"
rounds = 8
devices = 6
payout = { initial_balance = 200 }
"""
SWEEP = """
name = "prices"
scenario = "lottery.toml"
seeds = 3

[[design]]
[design.factors]
"tickets.price" = [5, 20]

[[design]]
[design.factors.attack]
nobody = { adversaries = [] }
churners = { adversaries = [{ name = "churners", count = 2, presence = 0.5 }] }

[scorecard]
mechanism = "tickets.price"
adversary = "attack"

[scorecard.objective]
measure = "largest_pot"
best = "max"
"""


class TestLottery(ProtocolConformance):
    plugin = import_by_path(f"{LOTTERY}:Lottery")


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A folder with the game, a scenario and a sweep; commands run there."""
    shutil.copy(LOTTERY, tmp_path / "lottery.py")
    (tmp_path / "lottery.toml").write_text(SCENARIO)
    (tmp_path / "prices.toml").write_text(SWEEP)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def fedstake(*words: str) -> str:
    """The output of a command that must do what it says."""
    done = CliRunner().invoke(app, list(words))
    assert done.exit_code == 0, done.output
    return done.output


def test_it_is_short():
    lines = [line for line in LOTTERY.read_text().splitlines() if line.strip()]
    assert len(lines) <= 60


def test_nothing_else_knows_of_it():
    house = Path(__file__).parents[1]
    for folder in ("agents", "chain_bridge", "experiments", "fedstake", "mechanisms", "sim"):
        for path in (house / folder).rglob("*.py"):
            assert "lottery" not in path.read_text().lower(), path


def test_run_and_report_with_a_figure_of_its_own(place):
    shown = fedstake("run", "lottery.toml", "--out", "run", "--set", "tickets.price=15")
    assert "largest pot" in shown
    result = fs.open_run(place / "run")
    assert result.rounds["pot"].max() % 15 == 0 < result.rounds["pot"].max()
    assert result.manifest["protocol"] == "lottery"
    (place / "lottery.py").unlink()  # a report needs none of the code that the run was made with
    fedstake("report", "run")
    page = (place / "run" / "report" / "report.html").read_text()
    assert "The pot" in page
    assert (place / "run" / "report" / "pot.png").stat().st_size > 5_000
    drawn = pd.read_csv(place / "run" / "report" / "pot.csv")
    assert drawn["pot"].tolist() == result.rounds["pot"].tolist()


def test_keys_of_other_games_are_refused(place):
    done = CliRunner().invoke(app, ["run", "lottery.toml", "--set", "consensus.kind=pow"])
    assert done.exit_code == 2
    assert "consensus.kind = 'pow'" in done.output
    assert "vbfl" in done.output


@pytest.mark.parametrize("boundary", range(1, 8))
def test_a_run_that_was_killed_goes_on_from_its_checkpoint(place, boundary):
    scenario = fs.load_scenario("lottery.toml")
    world = World(scenario)
    for played in world.run():
        if played == boundary:
            break
    checkpoint.save(world, place / "kept")
    world.close()
    resumed = checkpoint.load(scenario, checkpoint.newest(scenario, place / "kept"))
    for _ in resumed.run():
        pass
    resumed.close()
    assert digest(resumed.kernel.tables()) == digest(play(scenario))


def test_sweep_compare_and_report(place):
    shown = fedstake("sweep", "prices.toml", "--workers", "2", "--out", "prices")
    assert "12 done, 0 failed" in shown
    results = fs.Results.open(place / "prices")
    outcomes = results.outcomes()
    assert outcomes["largest_pot"].notna().all()
    assert "accuracy" not in outcomes
    assert (outcomes["honest_utility"] + outcomes["adversary_utility"].fillna(0)).notna().all()
    shown = fedstake("compare", "prices")
    assert "winner: 20" in shown
    fedstake("report", "prices")
    assert "largest_pot" in (place / "prices" / "report" / "report.html").read_text()


def test_two_games_in_one_sweep_are_read_together(place):
    """What a game does not record is null in the runs of that game."""
    both = SWEEP.partition("[[design]]")[0].replace('scenario = "lottery.toml"', "")
    (place / "both.toml").write_text(
        both
        + '\n[[design]]\n[design.factors.game]\nlottery = { protocol = "lottery.py:Lottery" }\n'
        + 'averaging = { protocol = "fedavg", "data.dataset" = "digits", "model.name" = "softmax", '
        + '"training.epochs" = 1, "payout.mechanism" = "none" }\n\n[set]\nrounds = 2\ndevices = 6\n'
        + '"payout.initial_balance" = 100\nadversaries = []\n'
    )
    results = fs.sweep("both.toml", "both", workers=1)
    rounds = results.rounds()
    assert rounds.groupby("game")["pot"].count().to_dict() == {"averaging": 0, "lottery": 6}
    assert rounds.groupby("game")["accuracy"].count().to_dict() == {"averaging": 6, "lottery": 0}
    outcomes = results.outcomes().set_index("game")
    assert outcomes.loc["lottery", "accuracy"].isna().all()
    assert outcomes.loc["averaging", "accuracy"].notna().all()


def test_replay_on_the_dev_chain(place):
    try:
        install.install()
    except BridgeError as error:
        pytest.skip(str(error))
    fedstake("run", "lottery.toml", "--out", "run")
    with server.start() as chain:
        fedstake("replay", "run", "--endpoint", chain.url)
    books = pd.read_parquet(place / "run" / "replay" / "reconciliation.parquet")
    assert len(books) > 20
    assert (books["difference"] == 0).all()
    declared = json.loads((place / "run" / "manifest.json").read_text())["notes"]
    assert [note["reason"] for note in declared] == ["draw"]


def test_reading_results_runs_none_of_their_code(place):
    """Report, scorecard, frames and the plan of a replay need no plug-in that came with a run."""
    fedstake("run", "lottery.toml", "--out", "run")
    fedstake("sweep", "prices.toml", "--workers", "1", "--out", "prices")
    trap = f"import pathlib\npathlib.Path({str(place / 'sprung')!r}).write_text('ran')\n"
    (place / "lottery.py").write_text(trap + LOTTERY.read_text())
    fedstake("report", "run")
    fedstake("report", "prices")
    fedstake("compare", "prices")
    results = fs.Results.open(place / "prices")
    assert len(results.rounds()) == 96
    assert len(results.outcomes()) == 12
    assert len(fs.open_run(place / "run").participants) == 48
    assert not (place / "sprung").exists()
