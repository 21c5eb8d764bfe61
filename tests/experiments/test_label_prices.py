"""Labels bought: swept, compared, drawn and reported; the plan of the page on their prices."""

import tomllib
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from experiments import compare, open_run, report, run, sweep
from experiments.figures import labels_per_unit
from experiments.loader import load_scenario
from experiments.offpolicy import compare_rules
from experiments.offpolicy_labelling import compare_labelling
from experiments.rundir import RunError
from experiments.sweeps.plan import load_spec, plan
from mechanisms import registries as rules
from tests.forging import relisted

pytestmark = pytest.mark.slow

HOUSE = Path(__file__).parents[2]
PRICES = HOUSE / "docs" / "label-prices" / "prices.toml"
TINY = """
name = "labels"
scenario = "annotation"
seeds = 2

[set]
rounds = 2
devices = 6
"data.dataset" = "synthetic"
"data.params" = { train = 160, test = 80, features = 6, classes = 3, separation = 3.0 }
"data.initial" = 10
"labelling.tasks" = 2
"labelling.gold" = 2
"labelling.places" = 3

[[design]]
[design.factors.rule.gold]
"labelling.rule" = "gold"

[design.factors.rule.majority]
"labelling.rule" = "majority"

[design.factors]
"adversaries.0.count" = [0, 3]

[scorecard]
mechanism = "rule"
adversary = "adversaries.0.count"
honest = "0"

[scorecard.objective]
measure = "gain_per_unit"
best = "max"
"""


@pytest.fixture(scope="module")
def swept(tmp_path_factory):
    folder = tmp_path_factory.mktemp("labels")
    (folder / "labels.toml").write_text(TINY)
    return sweep(folder / "labels.toml", folder / "out", workers=1)


def test_what_labels_cost_is_an_outcome_of_a_sweep(swept):
    outcomes = swept.outcomes()
    assert len(outcomes) == 8
    assert outcomes["gain_per_unit"].notna().all()
    rounds = swept.rounds(columns=["round", "gain", "labels_paid"])
    last = rounds[rounds["round"] == 2].set_index("run_id")["gain"]
    paid = rounds.groupby("run_id")["labels_paid"].sum()
    wanted = (last * 100_000 / paid).reindex(outcomes["run_id"]).astype(float)
    pd.testing.assert_series_equal(
        outcomes["gain_per_unit"].reset_index(drop=True),
        wanted.reset_index(drop=True),
        check_names=False,
    )


def test_rules_are_compared(swept):
    card = compare(swept)
    assert "gain_per_unit" in str(card)
    assert {"gold", "majority"} <= set(card.table["rule"])


def test_the_figure_has_a_line_for_each_rule(swept):
    table = labels_per_unit.data(swept)
    assert set(table["rule"]) == {"gold", "majority"}
    assert sorted(set(table["value"])) == [0, 3]
    assert (table["seeds"] == 2).all()
    page = report(swept, figures=["labels-per-unit"], formats=["png"])
    assert [*page.parent.rglob("*labels-per-unit*.png")]


def test_a_single_run_is_reported(tmp_path):
    values = tomllib.loads(TINY)["set"]
    result = run(load_scenario("annotation", values), tmp_path / "run")
    assert report(result, formats=["png"]).is_file()
    text = str(result.summary())
    assert "gain per unit" in text
    assert "label accuracy" in text


class TestOffPolicy:
    def run(self, folder, **changes):
        values = tomllib.loads(TINY)["set"] | {"adversaries.0.count": 2} | changes
        return run(load_scenario("annotation", values), folder / "run")

    @pytest.mark.parametrize("rule", rules.labelling.names())
    def test_the_rule_of_the_run_pays_what_the_run_paid(self, tmp_path, rule):
        taped = {"record.answers": True, "labelling.rule": rule, "rounds": 4}
        played = self.run(tmp_path, **taped)
        found = compare_labelling(played, [rule])
        assert found["error"].isna().all()
        paid = played.table("participants").groupby("device")["income"].sum()
        assert found.set_index("device")["income"].tolist() == paid.tolist()
        assert sum(paid) > 0

    def test_all_rules_judge_the_answers_of_one_run(self, tmp_path):
        played = self.run(tmp_path, **{"record.answers": True, "labelling.acceptance": "auto"})
        found = compare_rules(played)
        assert set(found["mechanism"]) == set(rules.labelling.names())
        means = found.groupby(["mechanism", "adversary"])["income"].mean()
        assert means["gold", False] > means["gold", True]
        broken = compare_labelling(played, {"correlated-agreement": {"agreement": [1, 0]}})
        assert broken["error"].str.contains("must have 9 entries").all()

    @pytest.mark.parametrize(
        ("table", "column", "value"),
        [
            ("questions", "options", 0),
            ("questions", "options", 2**40),
            ("questions", "points", -1),
            ("answers", "device", None),
        ],
    )
    def test_answers_that_nobody_could_have_given_are_the_folders_fault(
        self, tmp_path, table, column, value
    ):
        played = self.run(tmp_path, **{"record.answers": True, "rounds": 2})
        file = played.path / f"{table}.parquet"
        held = pq.read_table(file)
        place, kind = held.column_names.index(column), held.schema.field(column).type
        forged = pa.array([value] * held.num_rows, kind)
        pq.write_table(held.set_column(place, column, forged), file)
        relisted(played.path)
        with pytest.raises(RunError, match=f"table {table}: round .* damaged or forged"):
            compare_labelling(open_run(played.path), ["majority"])

    def test_a_run_without_answers_says_how_to_record_them(self, tmp_path):
        with pytest.raises(RunError, match=r"--set record\.answers=true"):
            compare_labelling(self.run(tmp_path))


def test_the_page_compares_every_rule():
    runs = plan(load_spec(PRICES))
    played = {r.scenario.labelling.rule for r in runs if r.scenario.labelling.acceptance == "rule"}
    assert played == set(rules.labelling.names())
    assert {r.scenario.adversaries[0].count for r in runs} == {0, 4, 8, 12, 16}
