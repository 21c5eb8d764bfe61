"""`fedstake compare`: all is checked before anything is played, and what is printed says enough."""

import pandas as pd
import pytest
from typer.testing import CliRunner

from experiments.cli import app
from experiments.numerals import how_many, with_interval
from experiments.reports import report
from experiments.results import Results
from experiments.scorecard.before import check_before
from experiments.sweeps.drive import Sweep

SWEEP = """
name = "rules"
scenario = "vbfl"
seeds = {seeds}

[set]
rounds = 2
devices = 8
"costs.compute_per_s" = 100.0
"validation.params" = {{ threshold = 1.0 }}
"data.dataset" = "synthetic"
"data.params" = {{ train = 160, test = 60, features = 6, classes = 3 }}
"data.partition" = "iid"
"data.validation_fraction" = 0.25
"model.name" = "softmax"
"roles.params" = {{ counts = "4,2,2" }}
"training.epochs" = 1

[[design]]
[design.factors.rule]
vbfl = {{}}
flat = {{ "payout.mechanism" = "flat" }}
[design.factors.attack]
nobody = {{ adversaries = [] }}
idle = {{ adversaries = [{{ name = "bad", count = 1, worker = "free-ride-zero" }}] }}
noise = {{ adversaries = [{{ name = "bad", count = 2, worker = "gaussian-noise" }}] }}

[scorecard]
{settings}
"""
RULE = 'mechanism = "rule"\n'
OBJECTIVE = RULE + '[scorecard.objective]\nmeasure = "{}"\n'


@pytest.fixture
def fedstake(tmp_path, monkeypatch):
    """Run a command in an empty folder; `write` is a sweep's file there."""
    monkeypatch.chdir(tmp_path)

    def run(*words):
        return CliRunner().invoke(app, [str(word) for word in words])

    return run


def write(folder, settings, seeds=1):
    file = folder / "rules.toml"
    file.write_text(SWEEP.format(seeds=seeds, settings=settings))
    return file


@pytest.mark.parametrize(
    ("settings", "parts"),
    [
        ('mechanism = "rules"', ["scorecard.mechanism = 'rules'", "did you mean 'rule'"]),
        ("", ["scorecard.mechanism: not given", 'add mechanism = "FACTOR"', "rule, attack"]),
        (RULE + 'adversary = "atack"', ["scorecard.adversary = 'atack'", "mean 'attack'"]),
        (RULE + 'adversary = "rule"', ["scorecard.honest: not given", 'add honest = "LEVEL"']),
        (RULE + 'honest = "idle"', ["scorecard.honest = 'idle': 1 device of group 'bad' deviate"]),
        (RULE + 'honest = "nobdy"', ["attack has no level 'nobdy'", "did you mean 'nobody'"]),
        (RULE + 'deviations = ["idel"]', ["scorecard.deviations", "did you mean 'idle'"]),
        (RULE + 'sybils = { 2 = "twins" }', ["scorecard.sybils.2", "no level 'twins'"]),
        (OBJECTIVE.format("acuracy"), ["measure = 'acuracy'", "did you mean 'accuracy'"]),
        (OBJECTIVE.format("fairness_l1"), ["measure = 'fairness_l1': no measure of this sweep"]),
        (OBJECTIVE.format("issued"), ["objective.best: must be given for 'issued'"]),
        (OBJECTIVE.format("gini") + 'bests = "max"', ["bests", "did you mean 'best'"]),
        (OBJECTIVE.format("gini") + "bounds = { sybil_gain_2 = { max = 0 } }", ["sybil_gain_2"]),
        (RULE + "[scorecard.objective]\nbest = 'max'", ["objective.measure: must be given"]),
    ],
)
def test_nothing_is_played_before_all_is_checked(fedstake, tmp_path, settings, parts):
    file = write(tmp_path, settings)
    done = fedstake("compare", file)
    assert done.exit_code == 2, done.output
    assert len(done.output.strip().splitlines()) == 1
    assert [part for part in ["rules.toml", *parts] if part not in done.output] == []
    assert not (tmp_path / "results").exists()
    if settings:  # a sweep that says how it is compared is held to it, whoever plays it
        assert fedstake("sweep", file).output == done.output


def test_every_measure_of_the_scorecard_passes_the_check(fedstake, tmp_path):
    """What the check takes for a measure is what the scorecard then has."""
    file = write(tmp_path, OBJECTIVE.format("advantage"))
    assert fedstake("compare", file, "--workers", 1, "--out", "out").exit_code == 0
    planned = Sweep(file, tmp_path / "out")
    table = pd.read_csv(tmp_path / "out" / "scorecard.csv")
    numbers = [c for c in table if pd.api.types.is_numeric_dtype(table[c])]
    for measure in set(numbers) - {"planned", "runs"}:
        spec = planned.spec.model_copy(
            update={"scorecard": {"mechanism": "rule", "objective": {"measure": measure}}}
        )
        check_before(spec, planned.runs)


def test_a_sweep_that_is_compared_goes_where_out_says(fedstake, tmp_path):
    file = write(tmp_path, OBJECTIVE.format("advantage"), seeds=3)
    shown = fedstake("compare", file, "--workers", 1, "--out", "there")
    assert shown.exit_code == 0, shown.output
    assert (tmp_path / "there" / "gains.csv").is_file()
    assert not (tmp_path / "results").exists()

    # What is printed.
    flat = " ".join(shown.output.split())
    assert "rules: results by rule and attack" in flat
    assert "gain from deviating (per device, 95 % simultaneous intervals)" in flat
    assert "ranking by advantage, worst attack, lowest first" in flat
    assert "1 deviation, 3 seeds, simultaneous 95 % intervals" in flat
    assert "noise: 2 devices deviate at once, a coalition" in flat
    gains = pd.read_csv(tmp_path / "there" / "gains.csv")
    assert gains["deviation"].tolist() == ["idle", "noise"] * 2

    # Another sweep at that place is refused, and the advice can be followed.
    other = write(tmp_path, OBJECTIVE.format("advantage"), seeds=1)
    other.write_text(other.read_text().replace("rounds = 2", "rounds = 1"))
    refused = fedstake("compare", other, "--workers", 1, "--out", "there")
    assert refused.exit_code == 2
    assert "choose another --out" in refused.output
    assert fedstake("compare", other, "--workers", 1, "--out", "elsewhere").exit_code == 0
    refused = fedstake("compare", "there", "--out", "x")
    assert (refused.exit_code, "--out: " in refused.output) == (2, True)
    refused = fedstake("compare", "there", "--rule", "flat")
    assert (refused.exit_code, "--rule: " in refused.output) == (2, True)

    # The report says the same, in whole sentences.
    page = report(Results.open(tmp_path / "there")).read_text()
    assert "Ranking by advantage, worst attack, lowest first" in page
    assert "Winner: " in page
    assert "its rows of the scorecard" not in page
    assert "Gain from deviating" in page
    assert "Student" in page
    assert "bootstrap" not in page


def test_no_objective_no_winner_in_terminal_and_report(fedstake, tmp_path):
    file = write(tmp_path, RULE)
    shown = fedstake("compare", file, "--workers", 1, "--out", "out")
    assert shown.exit_code == 0, shown.output
    assert "winner: none: the sweep states no objective" in shown.output
    assert not (tmp_path / "out" / "winner.toml").exists()
    page = report(Results.open(tmp_path / "out")).read_text()
    assert "Winner: none: the sweep states no objective" in page
    assert "1 seed (0)" in page
    assert "Bands: none, there is one run each." in page


def test_numbers_have_their_noun():
    assert [how_many(n, "seed") for n in (0, 1, 2, 1200)] == [
        "0 seeds", "1 seed", "2 seeds", "1,200 seeds",
    ]  # fmt: skip


def test_bounds_that_are_not_finite_are_not_printed():
    table = pd.DataFrame({"x": [1.0, 2.0], "x_low": [-float("inf"), 1.0], "x_high": [2.0, 3.0]})
    assert with_interval(table, "x") == ["1", "2 (1 to 3)"]
