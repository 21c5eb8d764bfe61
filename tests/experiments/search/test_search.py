"""Searches of a game whose answers are known: parameters, turns, errors, and a killed process."""

import os
import signal
import subprocess
import sys
import time
import tomllib
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from experiments.cli import app
from experiments.loader import load_scenario
from experiments.search.drive import Search, write
from experiments.search.report import report
from experiments.search.spec import load_search
from tests.conftest import PATIENCE_S
from tests.experiments.search.inspection import gain, play_here

ROOT = Path(__file__).parents[3]
ATTACK = """
scenario = "inspection.toml"
runs = 26
seeds = 1
fresh = 4
least = 1.0

[attack]
behaviours = { taker = ["skim"] }
timing = false
"""
RULE = """
scenario = "inspection.toml"
set = { "rules.inspected" = 1.0 }
runs = 130
seeds = 4
fresh = 5
least = 1.0

[rule]
minimise = { bound = 1.0, "rules.stake" = 5.0 }
epsilon = 0.0
keys = { "rules.stake" = { low = 0, high = 20_000, integer = true } }

[rule.deviations]
skimmers = { taker = "skim", taker_params = { part = 0.5 } }
"""
DOUBLE = (
    ATTACK.replace("runs = 26", "runs = 240").replace("seeds = 1", "seeds = 4")
    + '[rule]\nminimise = "rules.stake"\nepsilon = 900.0\n'
    + 'keys = { "rules.stake" = { low = 0, high = 20_000, integer = true } }\n'
    + "[double]\nrounds = 2\n"
).replace("fresh = 4", 'fresh = 5\nset = { "rules.inspected" = 1.0 }')


def searched(text, place, name="it"):
    """What is found by a search that is played in this process."""
    (place / f"{name}.toml").write_text(text)
    spec, file = load_search(f"{name}.toml")
    return Search(spec, file, place / name, play_here).run()


def test_an_attack_is_found_and_can_be_run(place):
    found = searched(ATTACK, place)
    group = tomllib.loads(found.toml)["adversaries"][0]
    assert group["taker_params"]["part"] == pytest.approx(0.5, abs=0.1)
    write(found, place / "it")
    assert load_scenario("it/answer.toml").adversaries[0].taker == "skim"
    fresh = pd.read_csv(place / "it" / "fresh.csv").iloc[0]
    assert fresh["in_search"] == pytest.approx(gain(0.5), rel=0.05)
    assert len(pd.read_csv(place / "it" / "trials.csv")) == 17
    assert "winner's curse" in found.lines[1]
    page = report(found, place / "it", ["fedstake", "search", "it.toml"]).read_text()
    for name in ("history", "fresh"):
        assert (place / "it" / f"{name}.png").stat().st_size > 1_000
        assert f'id="{name}"' in page
    assert found.lines[0].split(":")[0] in page


def test_the_cheapest_stake_that_deters(place):
    """A share of a half gains 2,500 and loses half of the stake a round: 5,000 deters."""
    found = searched(RULE, place)
    assert found.answered
    stake = tomllib.loads(found.toml)["rules"]["stake"]
    assert 5_000 <= stake < 8_000
    trials = found.frames["trials"]
    played = trials[trials["score"].notna()]
    assert (played["score"] == 10 * played["rules.stake"]).all(), "five devices, and five times"
    gains = [gain(0.5, stake=s, inspected=1.0) for s in played["rules.stake"]]
    assert np.allclose(played["gain:skimmers"], gains, atol=3)
    assert not played[played["rules.stake"] < 4_990]["holds"].any()


def test_a_rule_that_cannot_hold_is_told(place):
    text = RULE.replace("20_000", "4_000").replace("runs = 130", "runs = 50")
    found = searched(text, place)
    assert not found.answered
    assert found.toml == found.scenario == ""
    assert found.lines[0].startswith("No parameters in the ranges are shown to hold")
    assert not found.frames["trials"]["holds"].any()


@pytest.mark.slow
def test_turns_end_when_no_attack_is_left(place):
    """The best part gains 5,000 (1 - stake / 10,000)^2: 4,000 at most from a stake of 1,056 on."""
    found = searched(DOUBLE.replace("900.0", "4_000.0"), place)
    assert found.lines[0].startswith("Honesty holds: the worst attack of turn 2 gains")
    assert found.answered
    assert tomllib.loads(found.toml)["rules"]["stake"] > 1_000
    assert found.frames["fresh"]["what"][0] == "attack 1"


@pytest.mark.slow
def test_turns_end_when_the_budget_is_spent(place):
    found = searched(DOUBLE.replace("900.0", "50.0"), place)
    assert found.lines[0].startswith("The budget is spent and the question is open")
    assert not found.answered
    assert "adversaries" in tomllib.loads(found.toml)


@pytest.mark.slow
@pytest.mark.parametrize("method", ["morris", "sobol"])
def test_what_does_not_matter_has_no_index(place, method):
    keys = 'keys = { "rules.stake" = { low = 0, high = 20_000 }'
    text = RULE.replace(
        'keys = { "rules.stake" = { low = 0, high = 20_000, integer = true } }',
        keys.replace("20_000 }", "20_000, integer = true }, ")
        + '"payout.initial_balance" = { low = 500_000, high = 900_000, integer = true } }',
    )
    text += f'\n[sensitivity]\nsamples = 2\nof = "bound"\nmethod = "{method}"\n'
    found = searched(text, place)
    table = found.frames["sensitivity"].set_index("key")
    index = table.iloc[:, 0]
    assert index["rules.stake"] > 0.4
    assert index["payout.initial_balance"] == pytest.approx(0, abs=1e-9)
    again = searched(text, place)
    pd.testing.assert_frame_equal(again.frames["sensitivity"], found.frames["sensitivity"])
    write(found, place / "it")
    report(found, place / "it", ["fedstake", "search", "it.toml"])
    assert (place / "it" / "sensitivity.svg").is_file()


WRONG = {
    ("runs = 26", "runs = 5"): "it.toml: runs = 5: at least 10",
    ("fresh = 4", "fresh = 3"): "it.toml: fresh = 3: at least 4: with fewer the intervals",
    ('["skim"]', '["skimm"]'): "did you mean 'skim'?",
    ("taker = [", "worker = ["): "it.toml: attack.behaviours.worker: no role of a group",
    ("timing = false", "timeing = false"): "attack.timeing = False: unknown key; did you mean 't",
    ("timing = false", "size = [2, 1]"): "attack.size = [2, 1]: must be two numbers",
    ("timing = false", "size = [1, 6]"): "attack.size = [1, 6]: at most 5",
    ("timing = false", 'ranges = { "skim.prt" = { low = 0, high = 1 } }'): "did you mean 'part'?",
    ("timing = false", 'ranges = { "skim.part" = { low = 1, high = 0 } }'): "must be below high",
    ("timing = false", 'minimise = "acuracy"'): "attack.minimise = 'acuracy': must be an outcome",
    ("timing = false", 'beside = { "rules.stak" = 1 }'): "attack.beside.rules.stak = 1: no key",
    ('"inspection.toml"', '"inspektion.toml"'): "it.toml: ",
    ("[attack]", "[atack]"): "it.toml: atack",
    ("runs = 26", "runs = 'many'"): "it.toml: runs = 'many': must be a whole number",
}


@pytest.mark.parametrize(("change", "line"), WRONG.items(), ids=lambda v: v[1] if v else "")
def test_a_wrong_attack_is_one_line(place, change, line):
    refused(place, ATTACK.replace(*change), line)


WRONG_RULES = {
    ('"rules.stake" = {', '"rules.stak" = {'): "rule.keys.rules.stak",
    ("bound = 1.0", "bund = 1.0"): "rule.minimise = 'bund': must be an outcome",
    ("low = 0, ", "low = -5, "): "it.toml: rule.keys.rules.stake = -5",
    ('taker = "skim"', 'taker = "skimm"'): "it.toml: rule.deviations.skimmers",
    ('taker = "skim"', 'teker = "skim"'): "rule.deviations.skimmers.teker: no key of a group",
    ("[rule.deviations]", "[double]"): "it.toml: double",
    ("seeds = 4", "seeds = 2"): "it.toml: seeds = 2: at least 4",
}


@pytest.mark.parametrize(("change", "line"), WRONG_RULES.items(), ids=lambda v: v[1] if v else "")
def test_a_wrong_rule_is_one_line(place, change, line):
    refused(place, RULE.replace(*change), line)


def refused(place, text, line):
    (place / "it.toml").write_text(text)
    done = CliRunner().invoke(app, ["search", "it.toml"])
    assert done.exit_code == 2, done.output
    said = " ".join(done.output.split())
    assert line in said
    assert not list(place.glob("results/**/stage-*")), "nothing was played"


@pytest.mark.slow
@pytest.mark.parametrize("kills", [[2], pytest.param([1, 3], marks=pytest.mark.soak)])
def test_a_killed_search_ends_with_the_same_answer(place, kills):
    (place / "it.toml").write_text(ATTACK)
    command = [sys.executable, "-m", "experiments.cli", "search", "it.toml", "--workers", "1"]
    env = {**os.environ, "PYTHONPATH": str(ROOT)}

    def played(out):
        done = CliRunner().invoke(app, [*command[3:], "--out", out])
        assert done.exit_code == 0, done.output
        return done.stdout

    whole = played("whole")
    for stages in kills:
        killed = subprocess.Popen([*command, "--out", "killed"], env=env, start_new_session=True)
        deadline = time.monotonic() + PATIENCE_S
        while len(list(place.glob("killed/runs-*/stage-*/runs/*/manifest.json"))) < 4 * stages:
            assert time.monotonic() < deadline
            assert killed.poll() is None, "it ended before it could be killed"
            time.sleep(0.05)
        os.killpg(killed.pid, signal.SIGKILL)
        killed.wait()
    assert played("killed").replace("killed", "whole") == whole
    for name in ("answer.toml", "trials.csv", "fresh.csv", "history.csv", "history.svg"):
        assert (place / "killed" / name).read_bytes() == (place / "whole" / name).read_bytes()


@pytest.mark.slow
def test_more_runs_take_over_those_that_there_are(place):
    searched(ATTACK, place)
    played = []

    def play(sweep):
        played.extend(sweep.todo)
        play_here(sweep)

    (place / "it.toml").write_text(ATTACK.replace("runs = 26", "runs = 29"))
    spec, file = load_search("it.toml")
    Search(spec, file, place / "it", play).run()
    assert len(played) <= 3 + 4, "three more trials, and fresh seeds of another winner"


def test_the_rule_of_the_documentation_can_be_searched(place):
    page = (ROOT / "docs" / "how-to" / "search-for-the-worst-attack.md").read_text()
    (place / "cheapest.toml").write_text(
        page.split("```toml\n# cheapest.toml\n")[1].split("```")[0]
    )
    spec, file = load_search("cheapest.toml")
    assert Search(spec, file, place / "it", play_here).scenario.devices == 20
