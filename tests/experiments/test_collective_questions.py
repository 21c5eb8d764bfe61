"""A collective swept, compared, drawn and reported; the plans of the page of questions."""

from pathlib import Path

import pytest

from experiments import compare, report, run, sweep
from experiments.figures import licence_income, pool_left
from experiments.loader import load_scenario
from experiments.sweeps.plan import load_spec, plan

pytestmark = pytest.mark.slow

HOUSE = Path(__file__).parents[2]
PLANS = HOUSE / "docs" / "collective"
TINY = """
name = "tiny"
seeds = 2
scenario = "economy.toml"

[[design]]
[design.factors.rule.one]
"approval.params" = { needed = 1, decided = "median" }

[design.factors.rule.three]
"approval.params" = { needed = 3, decided = "median" }

[design.factors]
"adversaries.0.count" = [0, 1, 3]
"""
ATTACKED = """
name = "attacked"
seeds = 2
scenario = "economy.toml"

[[design]]
[design.factors.rule.one]
"approval.params" = { needed = 1, decided = "median" }

[design.factors.rule.three]
"approval.params" = { needed = 3, decided = "median" }

[design.factors.attack]
nobody = { adversaries = [] }
coalition = { "adversaries.0.count" = 1 }

[scorecard]
mechanism = "rule"
honest = "nobody"

[scorecard.objective]
measure = "engineers_pool_left"
best = "max"
"""
ECONOMY = """
name = "economy"
protocol = "collective"
rounds = 2
devices = 10

[parties]
contributors = 4
engineers = 2
annotators = 0
clients = 3

[data]
dataset = "synthetic"
params = { train = 160, test = 60, features = 6, classes = 3 }
partition = "iid"
validation_fraction = 0.25

[model]
name = "softmax"

[[adversaries]]
name = "colluders"
count = 0
member = "collude"
member_params = { author = 4 }

[[adversaries]]
name = "spammer"
devices = [4]
engineer = "spam"
"""


@pytest.fixture(scope="module")
def swept(tmp_path_factory):
    folder = tmp_path_factory.mktemp("collective")
    (folder / "tiny.toml").write_text(TINY)
    (folder / "economy.toml").write_text(ECONOMY)
    return sweep(folder / "tiny.toml", folder / "out", workers=1)


def test_a_coalition_as_large_as_the_rule_asks_for_leaves_nothing(swept):
    left = swept.outcomes().set_index(["rule", "adversaries.0.count"])["engineers_pool_left"]
    assert (left["one", 1] == 0).all()
    assert (left["one", 3] == 0).all()
    assert (left["three", 3] == 0).all()
    assert (left["three", 1] > 0).all()


def test_the_figures_have_a_row_for_each_cell(swept):
    pools, licences = pool_left.data(swept), licence_income.data(swept)
    assert len(pools) == len(licences) == 6
    assert set(pools["value"]) == {0, 1, 3}
    assert (licences["mean"] >= 0).all()


def test_rules_are_compared_under_attack(tmp_path):
    (tmp_path / "attacked.toml").write_text(ATTACKED)
    (tmp_path / "economy.toml").write_text(ECONOMY)
    card = compare(sweep(tmp_path / "attacked.toml", tmp_path / "out", workers=1))
    assert "three" in str(card)


def test_it_is_reported(swept):
    page = report(swept, figures=["pool-left", "licence-income"], formats=["svg"])
    text = page.read_text()
    assert "What is left of the engineers" in text
    assert "Income from licences" in text


def test_a_run_is_reported(tmp_path):
    (tmp_path / "economy.toml").write_text(ECONOMY)
    result = run(load_scenario(tmp_path / "economy.toml"), tmp_path / "run")
    assert "What is left of the pools" in report(result).read_text()
    assert len(result.manifest["master_model"]) == 64


def test_the_plan_of_collusion_has_a_coalition_for_each_size_and_rule():
    runs = plan(load_spec(PLANS / "collusion.toml"))
    sizes = {(run.labels["rule"], run.scenario.adversaries[0].size) for run in runs}
    assert len(sizes) == 5 * 8


def test_the_plan_of_audits_stands_on_both_sides_of_the_break_even():
    runs = plan(load_spec(PLANS / "audits.toml"))
    costs = {p["probability"] * p["fine"] for p in (r.scenario.licences.params for r in runs)}
    assert min(costs) == 0 < 1 in costs
    assert max(costs) > 1
    assert max(cost for cost in costs if cost < 1) > 0.9
