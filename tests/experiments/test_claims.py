"""The register of claims: files, verdicts, what a foreign claim may not do, the page."""

import math
from pathlib import Path

import pandas as pd
import pytest
import tomli_w
from typer.testing import CliRunner

from experiments.claims.claim import Within, measure, read, shipped
from experiments.claims.page import register_page
from experiments.cli import app
from experiments.confidence import Bound
from experiments.loader import ScenarioError
from experiments.trials import player
from fedstake.errors import FedstakeError, InputError
from mechanisms.registry import Registry

HOUSE = Path(__file__).parents[2]
QUICK = {"rounds": 2, "devices": 8, "roles.params": {"counts": "4,3,1"}}
CLAIM = {
    "format": 1,
    "says": "Work is paid.",
    "who": "nobody",
    "source": "this test",
    "claimed": "income above zero",
    "rules": ["vbfl"],
    "play": {
        "scenario": "digits-quick",
        "seeds": 3,
        "set": QUICK,
        "variants": {
            "honest": {"adversaries": []},
            "lazy": {"adversaries": [{"name": "one", "devices": [0], "worker": "free-ride-zero"}]},
        },
    },
    "measure": {
        "table": "participants",
        "value": "sum(income)",
        "of": "honest",
        "unit": "base units per run",
        "within": {"min": 1.0},
    },
}


ENDLESS = "(select count(*) from range(1000000000000) a, range(10000000) b)"


def changed(values, dotted, value):
    """Return a copy of nested tables with one value changed."""
    key, _, rest = dotted.partition(".")
    return {**values, key: changed(values[key], rest, value) if rest else value}


def written(folder, values):
    file = folder / "claim.toml"
    file.write_text(tomli_w.dumps(values))
    return file


def played(folder, values, **options):
    file = written(folder, values)
    play = player(workers=1, progress=False)
    return measure(read(file), file, folder / "runs", play, **options)


def fedstake(*words, code):
    result = CliRunner().invoke(app, list(map(str, words)))
    assert result.exit_code == code, result.output
    return result.output


@pytest.mark.parametrize(
    ("low", "high", "verdict"),
    [(2, 3, "holds"), (0.5, 3, "undecided"), (-3, 0.5, "fails"), (1, 1, "holds")],
)
def test_a_claim_holds_where_the_whole_interval_is_within_its_limits(low, high, verdict):
    assert Within(min=1.0).verdict(Bound((low + high) / 2, low, high)) == verdict


@pytest.mark.slow
def test_what_is_measured_is_the_mean_over_seeds_of_what_runs_recorded(tmp_path):
    found = played(tmp_path, CLAIM)
    folders = (tmp_path / "runs").glob("*/runs/*")
    incomes = [pd.read_parquet(f / "participants.parquet")["income"].sum() for f in folders]
    assert len(incomes) == found.seeds == 3
    assert found.bound.mean == pytest.approx(sum(incomes) / 3)
    assert found.verdict == "holds"
    # Against another variant, by seed: nobody gains where nothing differs.
    same = changed(CLAIM, "measure.less", "honest")
    assert played(tmp_path, same).bound == Bound(0.0, 0.0, 0.0)
    # The command says the same, with an exit code.
    said = fedstake("verify", written(tmp_path, CLAIM), "--workers", "1", code=0)
    assert said.startswith("holds: Work is paid.")
    no = changed(CLAIM, "measure.within", {"max": 0.0})
    said = fedstake("verify", written(tmp_path, no), "--workers", "1", code=1)
    assert said.startswith("fails: Work is paid.")
    assert "holds if at most 0" in said


@pytest.mark.parametrize(
    ("key", "value", "part"),
    [
        ("measure.of", "nobody", "there are honest, lazy"),
        ("measure.within", {}, "give min or max"),
        ("play.seeds", 2, "play.seeds = 2"),
        ("measure.of", "", "measure.of"),
        ("measure.within", {"max": math.nan}, "measure.within.max"),
        ("measure.within", {"max": math.inf}, "measure.within.max"),
        ("measure.within", {"max": True}, "measure.within.max"),
        ("measure.within", {"max": "1"}, "measure.within.max"),
        ("measure.within", {"min": 5.0, "max": 1.0}, "min = 5 is above max = 1"),
        ("shouts", True, "shouts"),
    ],
)
def test_a_wrong_file_is_refused_in_one_line(tmp_path, key, value, part):
    with pytest.raises(ScenarioError) as error:
        read(written(tmp_path, changed(CLAIM, key, value)))
    assert part in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("key", "value", "part"),
    [
        ("play.set", {"payout.mechanism": "evil.py:Rule"}, "only with --trust"),
        ("play.scenario", "evil.toml", "only with --trust"),
        ("play.set", {"data.params": {"download": True}}, "only with --trust"),
        ("play.set", {"data.params": {"file": "/etc/passwd"}}, "only with --trust"),
        ("play.set", {"data.params.file": "../secrets.npz"}, "only with --trust"),
    ],
)
def test_a_foreign_claim_runs_no_file(tmp_path, monkeypatch, key, value, part):
    (tmp_path / "evil.py").write_text("raise SystemExit('ran')")
    (tmp_path / "evil.toml").write_text("extends = 'digits-quick'")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError) as error:
        played(tmp_path, changed(CLAIM, key, value))
    assert part in str(error.value)
    assert not (tmp_path / "runs").exists()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("key", "value", "part"),
    [
        ("measure.table", "secrets", "a table of these runs"),
        ("measure.value", "count(*) from read_csv('/etc/passwd')", "query"),
        ("measure.value", "sum(income) filter (device > 99)", "a number in every run"),
        ("measure.value", "no_such(income)", "no_such"),
        ("measure.value", "income", "claim.toml: measure.value = 'income': an SQL aggregate"),
        ("measure.value", "sum(income) / 0", "a number in every run"),
        ("measure.value", ENDLESS, "the query took too long and was stopped"),
    ],
)
def test_a_value_sees_its_runs_alone(tmp_path, monkeypatch, key, value, part):
    monkeypatch.setattr("experiments.claims.claim.SECONDS", 1.0)
    with pytest.raises(FedstakeError) as error:
        played(tmp_path, changed(changed(CLAIM, "play.seeds", 3), key, value))
    assert "root:" not in str(error.value)
    assert part in str(error.value)


def test_every_shipped_claim_is_about_rules_that_there_are_and_stands_in_the_table():
    claims = shipped()
    known = {name for registry in Registry.kinds().values() for name in registry.names()}
    for name, claim in claims.items():
        assert set(claim.rules) <= known, name
    table = pd.read_csv(HOUSE / "results" / "reference" / "claims.csv")
    assert table["claim"].tolist() == list(claims)
    for row in table.to_dict("records"):
        claim = claims[row["claim"]]
        bound = Bound(row["mean"], row["low"], row["high"])
        assert claim.measure.within.verdict(bound) == row["verdict"], row["claim"]
        assert row["says"] == claim.says
        assert math.isfinite(row["mean"])
    page = (HOUSE / "docs" / "reference" / "claims.md").read_text()
    assert page == register_page(table)
