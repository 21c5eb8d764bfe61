"""A market is swept, compared, reported and compared off-policy by the commands of any game.

Replays on the dev chain: tests/chain_bridge/test_replay.py.
"""

import pandas as pd
import pytest
from typer.testing import CliRunner

from experiments.cli import app
from experiments.results import Results

SWEEP = """
name = "rules"
scenario = "sum-digits"
seeds = 2

[set]
rounds = 2
devices = 4
"data.dataset" = "synthetic"
"data.params" = { train = 70, test = 60, features = 4, classes = 2, separation = 1.0 }
"data.initial" = 20

[[design]]
[design.factors.rule]
free = { "market.rule" = "free" }
deposits = { "market.rule" = "deposit-refund-take" }
bets = { "market.rule" = "prediction-market", "market.params" = { bounty = 50 } }
[design.factors.attack]
nobody = { adversaries = [] }
bad = { adversaries = [{ name = "bad", devices = [3], contributor = "bad" }] }

[scorecard]
mechanism = "rule"
[scorecard.objective]
measure = "honest_return"
best = "max"
"""


@pytest.fixture(scope="module")
def swept(tmp_path_factory):
    """The folder of the sweep, and what the command printed."""
    place = tmp_path_factory.mktemp("market")
    (place / "rules.toml").write_text(SWEEP)
    done = fedstake("sweep", place / "rules.toml", "--out", place / "rules", "--workers", 1)
    return place / "rules", done


def fedstake(*words):
    """What a command prints; it must succeed."""
    done = CliRunner().invoke(app, [str(word) for word in words])
    assert done.exit_code == 0, done.output
    return done.output


def test_a_market_is_swept(swept):
    folder, said = swept
    assert "12 runs: 0 reused, 12 new, 0 failed" in said
    found = Results.open(folder).outcomes().groupby(["rule", "attack"])["honest_return"].mean()
    assert (found["free"] == 100.0).all()
    assert found["deposits", "bad"] != 100.0
    assert found["bets", "nobody"] > 100.0, "the bounty comes from outside"


def test_market_rules_have_a_scorecard_and_a_winner_that_can_be_run(swept, tmp_path):
    folder, _ = swept
    said = fedstake("compare", folder)
    assert "ranking by honest_return, worst attack, highest first" in said
    ranking = pd.read_csv(folder / "ranking.csv").set_index("rule")["honest_return"]
    assert set(ranking.index) == {"free", "deposits", "bets"}
    assert ranking.idxmax() in said.partition("ranking by")[2]
    assert fedstake("run", folder / "winner.toml", "--out", tmp_path / "run", "--set", "rounds=1")


@pytest.mark.slow
def test_a_sweep_of_markets_has_a_report(swept):
    folder, _ = swept
    fedstake("report", folder, "--figures", "payoffs", "--format", "png")
    assert "deposits" in (folder / "report" / "report.html").read_text()
    assert (folder / "report" / "payoffs.png").stat().st_size > 1_000


def test_a_run_of_a_market_has_a_report_and_is_compared_off_policy(swept, tmp_path):
    run = tmp_path / "run"
    keys = ["rounds=1", "data.n=200", "record.trace=true"]
    fedstake("run", "sum-digits", "--out", run, *[w for key in keys for w in ("--set", key)])
    fedstake("report", run, "--figures", "returns", "--format", "png")
    assert (run / "report" / "returns.png").stat().st_size > 1_000
    said = fedstake("compare", run, "--rule", "free", "--rule", "deposit-refund-take")
    assert "deposit-refund-take" in said
