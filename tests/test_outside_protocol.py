"""A game in one file, played by path: nothing else of the house knows of it."""

import json
import shutil
from pathlib import Path

import pandas as pd
import pytest
from typer.testing import CliRunner

import fedstake as fs
from experiments import checkpoint
from experiments.cli import app
from experiments.conformance.protocols import ProtocolConformance, digest, play
from fedstake.outside import unseal
from mechanisms.registry import import_by_path
from sim.world import World
from tests.forging import resealed

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
def place(tmp_path, monkeypatch, register):
    """A folder with the game, a scenario and a sweep; commands run there."""
    shutil.copy(LOTTERY, tmp_path / "lottery.py")
    (tmp_path / "lottery.toml").write_text(SCENARIO)
    (tmp_path / "prices.toml").write_text(SWEEP)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(scope="session")
def recorded(tmp_path_factory):
    """A run of the game, for tests that change a copy of it."""
    folder = tmp_path_factory.mktemp("lottery")
    shutil.copy(LOTTERY, folder / "lottery.py")
    (folder / "lottery.toml").write_text(SCENARIO)
    with pytest.MonkeyPatch.context() as patched:
        patched.chdir(folder)
        fedstake("run", "lottery.toml", "--out", "run")
    return folder / "run"


@pytest.fixture(scope="session")
def swept(tmp_path_factory):
    """A sweep of the game and what the command said of it, for tests that change a copy of it."""
    folder = tmp_path_factory.mktemp("lotteries")
    shutil.copy(LOTTERY, folder / "lottery.py")
    (folder / "lottery.toml").write_text(SCENARIO)
    (folder / "prices.toml").write_text(SWEEP)
    with pytest.MonkeyPatch.context() as patched:
        patched.chdir(folder)
        said = fedstake("sweep", "prices.toml", "--workers", "2", "--out", "prices")
    return folder / "prices", said


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
    assert (place / "run" / "report" / "pot.png").stat().st_size > 1_000
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


@pytest.mark.slow
def test_a_sweep_records_outcomes_of_the_game(swept):
    folder, said = swept
    assert "12 new, 0 failed" in said
    outcomes = fs.Results.open(folder).outcomes()
    assert outcomes["largest_pot"].notna().all()
    assert "accuracy" not in outcomes
    assert (outcomes["honest_utility"] + outcomes["adversary_utility"].fillna(0)).notna().all()


@pytest.mark.slow
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


def test_replay_on_the_dev_chain(place, recorded, devchain):
    shutil.copytree(recorded, place / "run")
    fedstake("replay", "run", "--endpoint", devchain.url)
    books = pd.read_parquet(place / "run" / "replay" / "reconciliation.parquet")
    assert len(books) > 20
    assert (books["difference"] == 0).all()
    declared = json.loads((place / "run" / "manifest.json").read_text())["notes"]
    assert [note["reason"] for note in declared] == ["draw"]


@pytest.mark.slow
def test_reading_results_runs_none_of_their_code(place, recorded, swept):
    """Report, scorecard, frames and the plan of a replay need no plug-in that came with a run."""
    shutil.copytree(recorded, place / "run")
    shutil.copytree(swept[0], place / "prices")
    trap = f"import pathlib\npathlib.Path({str(place / 'sprung')!r}).write_text('ran')\n"
    (place / "lottery.py").write_text(trap + LOTTERY.read_text())
    fedstake("report", "run")
    fedstake("report", "prices")
    assert "largest_pot" in (place / "prices" / "report" / "report.html").read_text()
    assert "winner: 20" in fedstake("compare", "prices")
    results = fs.Results.open(place / "prices")
    assert len(results.rounds()) == 96
    assert len(results.outcomes()) == 12
    assert len(fs.open_run(place / "run").participants) == 48
    assert not (place / "sprung").exists()


AUCTION = '''
"""A game in one file with behaviours and a kind of rules of its own."""

from abc import ABC, abstractmethod
from typing import Annotated

from pydantic import Field

import fedstake as fs


class Bidder(fs.Plugin, ABC):
    @abstractmethod
    def bid(self, value): ...


class Honest(Bidder):
    """Bids its value."""

    name, summary, reference = "honest", "bids its value", "Vickrey 1961"

    def bid(self, value):
        return value


class Shader(Bidder):
    """Bids half of its value."""

    name, summary, reference = "shader", "bids half", "Vickrey 1961"

    def bid(self, value):
        return value // 2


bidders = fs.Registry(
    "bidders", package=__name__, base=f"{__name__}:Bidder", about="what is bid",
    suite="experiments.conformance.common:Conformance",
)


class Bidders(fs.RationalGroup):
    """A group of bidders."""

    bidder: Annotated[str, fs.Chosen(bidders, "bidder_params")] = "honest"
    """Behaviour."""
    bidder_params: fs.Parameters = {}
    """Its parameters."""


class AuctionScenario(fs.Scenario):
    adversaries: tuple[Bidders, ...] = ()


class Auction(fs.Protocol):
    """The highest bid wins and pays itself."""

    name, summary, reference = "auction", "the highest bid wins", "Vickrey 1961"
    Scenario = AuctionScenario
    kinds = (bidders,)

    def __init__(self, kernel):
        super().__init__(kernel)
        kernel.treasury.open({p.device: 1_000 for p in kernel.population}, {})

    def play(self):
        kernel, start_s = self.kernel, self.kernel.clock.time_s
        kernel.clock.time_s += 1.0
        rng = kernel.streams.rng("values", kernel.clock.round)
        values = {p: int(rng.integers(50)) for p in kernel.population}
        bids = {p.device: p.behaviour("bidder").bid(value) for p, value in values.items()}
        winner = max(bids, key=bids.get)
        kernel.treasury.post([fs.Payment("burn", bids[winner], "price", winner)])
        kernel.record_round(start_s)
        kernel.record_participants(list(bids), fs.Stakes())
'''


@pytest.mark.slow
def test_a_game_in_one_file_brings_behaviours_of_its_own(place):
    (place / "auction.py").write_text(AUCTION)
    game = {"protocol": "auction.py:Auction", "rounds": 4, "devices": 5}
    group = {"name": "shaders", "count": 2, "bidder": "shader"}
    (place / "auction.toml").write_text(
        'protocol = "auction.py:Auction"\nrounds = 4\ndevices = 5\n'
    )
    result = fs.run(fs.scenario_of(game | {"adversaries": [group]}), place / "shaded")
    strategies = result.participants.groupby("group", observed=True)["strategy"].first()
    assert strategies.to_dict() == {"honest": "honest", "shaders": "shader"}
    fedstake("run", "auction.toml", "--out", "honest")
    assert fs.open_run(place / "honest").journal["amount"].sum() > result.journal["amount"].sum()
    assert "bidder" in {kind.kind.removesuffix("s") for kind in fs.all_kinds()}
    with pytest.raises(fs.SettingError, match=r"adversaries\.0\.bidder = 'shadr'.*shader"):
        fs.scenario_of(game | {"adversaries": [group | {"bidder": "shadr"}]})
    assert "checks passed" in str(fs.check("auction.py:Auction"))


@pytest.mark.slow
def test_games_that_use_a_name_for_different_things_are_read_together(place):
    text = LOTTERY.read_text()
    other = text.replace("fs.INTEGER", "fs.TEXT").replace('{"pot": pot,', '{"pot": f"{pot} units",')
    other = other.replace('"winner": winner}', '"winner": str(winner)}')
    other = other.replace('"max(pot)"', '"count(pot)"')
    (place / "raffle.py").write_text(other.replace('"lottery", "an', '"raffle", "an'))
    sweep = SWEEP.partition("[[design]]")[0] + (
        '\n[[design]]\n[design.factors.game]\nlottery = { protocol = "lottery.py:Lottery" }\n'
        'raffle = { protocol = "raffle.py:Lottery" }\n'
    )
    (place / "both.toml").write_text(sweep)
    results = fs.sweep("both.toml", "both", workers=1)
    before = results.rounds(columns=["round", "pot"])
    assert before["pot"].str.contains("units").sum() == 24
    assert results.compact() == 6
    pd.testing.assert_frame_equal(results.rounds(columns=["round", "pot"]), before)


@pytest.mark.parametrize(
    ("outcome", "message"),
    [
        ({"sql": "1) --"}, "without '--'"),
        ({"sql": "(select count(*) from range(9))"}, "without"),
        ({"sql": "count(*)) from rounds; copy t to 'x'"}, "without"),
        ({"sql": "max(nothing)"}, "nothing"),
        ({"sql": "'abc'"}, "must give a number"),
        ({"sql": 3}, "must be an SQL expression"),
        ({"table": ["rounds"]}, "must be the name of a table"),
        ({"table": "../rounds"}, "must be the name of a table"),
        ({"meaning": "a\x1b[31mb"}, "one line of text"),
        ({"best": "most"}, "best must be max, min or empty"),
    ],
)
def test_hostile_outcomes_cost_one_line(place, recorded, outcome, message):
    shutil.copytree(recorded, place / "run")
    file = place / "run" / "manifest.json"
    resealed(file, lambda manifest: manifest["outcomes"]["largest_pot"].update(outcome))
    done = CliRunner().invoke(app, ["report", "run"])
    assert done.exit_code == 2, done.output
    assert message in done.output
    assert len(done.output.strip().splitlines()) == 1


def test_the_name_of_an_outcome_is_no_sql(place, swept):
    shutil.copytree(swept[0], place / "prices")
    file = place / "prices" / "sweep.json"
    bad = dict(unseal(file)["outcomes"]["largest_pot"])
    names = {"a": bad, "'\n from rounds; copy t to 'x.csv'; select 1 --": bad}
    resealed(file, lambda sweep: sweep.update(outcomes=names))
    with pytest.raises(fs.RunError, match="letters, digits and _ only"):
        fs.Results.open("prices").outcomes()
