"""`fedstake compare`: all is checked before anything is played, and what is printed says enough."""

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from experiments.cli import app
from experiments.intervals import in_words, interval
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


@pytest.fixture(scope="module")
def compared(tmp_path_factory):
    """A folder with a sweep of three seeds, compared from its file with --out, and the output."""
    place = tmp_path_factory.mktemp("compared")
    file = write(place, OBJECTIVE.format("advantage"), seeds=3)
    shown = CliRunner().invoke(
        app, ["compare", str(file), "--workers", "1", "--out", str(place / "there")]
    )
    assert shown.exit_code == 0, shown.output
    return place, " ".join(shown.output.split())


def test_every_measure_of_the_scorecard_passes_the_check(compared):
    """What the check takes for a measure is what the scorecard then has."""
    place, _ = compared
    planned = Sweep(place / "rules.toml", place / "there")
    table = pd.read_csv(place / "there" / "scorecard.csv")
    numbers = [c for c in table if pd.api.types.is_numeric_dtype(table[c])]
    for measure in set(numbers) - {"planned", "runs"}:
        scorecard = {"mechanism": "rule", "objective": {"measure": measure}}
        check_before(planned.spec.model_copy(update={"scorecard": scorecard}), planned.runs[::3])


def test_what_is_printed_says_how_sure_it_is(compared):
    place, printed = compared
    assert "rules: results by rule and attack" in printed
    assert (
        "gain from deviating (per device, 95 % simultaneous intervals; Student, Bonferroni)"
        in printed
    )
    assert "ranking by advantage, worst attack, lowest first" in printed
    assert "1 deviation, 3 seeds, simultaneous 95 % intervals" in printed
    assert "noise: 2 devices deviate at once, a coalition" in printed
    gains = pd.read_csv(place / "there" / "gains.csv")
    assert gains["deviation"].tolist() == ["idle", "noise"] * 2


def test_the_folder_is_the_one_that_out_names(fedstake, compared, tmp_path):
    place, _ = compared
    assert not (place / "results").exists()
    other = write(tmp_path, RULE)
    other.write_text(other.read_text().replace("rounds = 2", "rounds = 1"))
    refused = fedstake("compare", other, "--workers", 1, "--out", place / "there")
    assert refused.exit_code == 2
    assert "choose another --out" in refused.output
    followed = fedstake("compare", other, "--workers", 1, "--out", "elsewhere")
    assert followed.exit_code == 0
    assert "no winner: the sweep states no objective" in followed.output
    assert (tmp_path / "elsewhere" / "ranking.csv").is_file()
    assert not (tmp_path / "elsewhere" / "winner.toml").exists()
    assert not (tmp_path / "results").exists()
    assert fedstake("compare", place / "there", "--out", "x").exit_code == 0
    gains = [folder / "gains.csv" for folder in (tmp_path / "x", place / "there")]
    assert gains[0].read_bytes() == gains[1].read_bytes()
    refused = fedstake("compare", place / "there", "--rule", "flat")
    assert (refused.exit_code, "--rule: " in refused.output) == (2, True)


def test_the_report_says_the_same_in_whole_sentences(compared, monkeypatch):
    monkeypatch.setattr("experiments.reports.sweep.sweep_figures", tuple)  # they take seconds
    page = report(Results.open(compared[0] / "there")).read_text()
    assert "anking by advantage, worst attack, lowest first" in page
    assert " wins" in page or "There is no winner: " in page
    assert "its rows of the scorecard" not in page
    assert "Gain from deviating" in page
    assert "Student" in page
    assert "bootstrap" not in page


def test_captions_say_what_was_drawn():
    assert in_words([1, 1], "Bands") == "Bands: none, there is one run each."
    assert in_words([3, 3]) == "Intervals: 95 %, Student's t (fewer than ten runs)."
    assert in_words([12]) == "Intervals: 95 %, bootstrap of runs."
    assert in_words([1, 3, 12]) == (
        "Intervals: 95 %, Student's t (fewer than ten runs); bootstrap of runs; "
        "none for a single run."
    )
    for n in (2, 9, 10, 30):
        values = np.random.default_rng(n).normal(size=n)
        assert interval(values) == interval(values, "t" if n < 10 else "bootstrap")


def test_numbers_have_their_noun():
    assert [how_many(n, "seed") for n in (0, 1, 2, 1200)] == [
        "0 seeds", "1 seed", "2 seeds", "1,200 seeds",
    ]  # fmt: skip


def test_bounds_that_are_not_finite_are_not_printed():
    table = pd.DataFrame({"x": [1.0, 2.0], "x_low": [-float("inf"), 1.0], "x_high": [2.0, 3.0]})
    assert with_interval(table, "x") == ["1", "2 (1 to 3)"]
