"""What factors and levels are called where people read them."""

import pandas as pd
import pytest
import tomli_w

from experiments import Results, report, sweep
from experiments.labels import DRAWN, Labels, labels_of, quoted, shorten
from experiments.loader import ScenarioError
from experiments.runresult import open_run
from experiments.sweeps.plan import load_spec
from tests.conftest import TINY

RULE = """
from fedstake import Payment, PayoutRule, Settlement


class Quadratic(PayoutRule):
    name = {name!r}
    summary = "pays everybody the same"
    reference = "test"

    def settle(self, seen):
        return Settlement(tuple(Payment(r.worker, 3, "reward.worker") for r in seen.records))
"""


def test_a_plugin_by_path_is_called_by_its_own_name():
    rules = {"payout.mechanism": ["vbfl", "/a/quad.py:Quadratic", "/a/other.py:Other"]}
    own = {"payout.mechanism": {"/a/quad.py:Quadratic": "quadratic"}}
    labels = labels_of(rules, plugins=own)
    shown = [labels.level("payout.mechanism", level) for level in rules["payout.mechanism"]]
    assert shown == ["vbfl", "quadratic", "Other"]


@pytest.mark.parametrize(
    ("levels", "shown"),
    [
        (["/a/x/q.py:Q", "/a/y/q.py:Q"], ["Q (x/q.py)", "Q (y/q.py)"]),
        (["Q", "/a/q.py:Q"], ["Q", "Q (q.py)"]),
        (["/a/q.py:Q", "/b/a/q.py:Q", "plain"], ["Q (/a/q.py)", "Q (b/a/q.py)", "plain"]),
    ],
)
def test_a_path_is_shown_only_where_two_collide(levels, shown):
    labels = labels_of({"rule": levels})
    assert [labels.level("rule", level) for level in levels] == shown


def test_numbers_stand_with_their_factor():
    labels = labels_of({"adversaries.0.count": [3, 12_000], "x.rate": [0.123456], "b": [True]})
    assert labels.named("adversaries.0.count", 3) == "count = 3"
    assert labels.level("adversaries.0.count", 12_000) == "12,000"
    assert labels.named("x.rate", 0.123456) == "rate = 0.123"
    assert labels.named("b", True) == "b = true"
    assert labels_of({"r": [0.12345, 0.12346]}).level("r", 0.12346) == "0.12346"


def test_factors_with_one_last_part_are_told_apart():
    labels = labels_of({"adversaries.0.count": [1], "adversaries.1.count": [1], "rounds": [1]})
    assert labels.all_of(labels.levels) == "0.count, 1.count and rounds"


def test_long_levels_are_shortened_and_stay_different():
    levels = [f"a level of {'very ' * 12}long name, number {i}" for i in (1, 2)]
    levels += ["x" * 40 + f"{i}" + "y" * 40 for i in range(12)]
    drawn = labels_of({"f": levels}).drawn()
    shown = [drawn.level("f", level) for level in levels]
    assert all(len(text) <= DRAWN for text in shown)
    assert len(set(shown)) == len(levels)
    assert shown[0].startswith("a level of")
    assert shorten("abcdefghij", 5) == "ab…ij"
    assert quoted("noise, 3 of 20") == "“noise, 3 of 20”"


@pytest.mark.parametrize("foreign", ["a\nb", "a\x1b[31mb", 5, ["x"], "y" * 900, {"f": 3}, None])
def test_what_a_folder_says_is_not_trusted(foreign):
    for own in ({"f": {"a.py:A": foreign}}, {"f": foreign}, foreign):
        text = labels_of({"f": ["a.py:A"]}, own, own).level("f", "a.py:A")
        assert text.isprintable()
        assert len(text) < 80


def test_tables_have_labels_in_the_place_of_levels():
    labels = Labels({"a.runs": "runs", "b.rate": "rate"}, {"a.runs": {1: "one"}, "b.rate": {}})
    frame = pd.DataFrame({"a.runs": [1], "b.rate": [0.5], "runs": [3]})
    shown = labels.applied(frame)
    assert shown.columns.tolist() == ["a.runs", "rate", "runs"], "a name that is taken stays whole"
    assert shown.iloc[0].tolist() == ["one", "0.5", 3]


def spec(**labels):
    factors = {"payout.mechanism": ["vbfl", "flat"], "training.epochs": [1, 2]}
    return {"design": [{"factors": factors}], "labels": labels}


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ({"factors": {"x": "y"}}, "labels.factors = 'x': no such factor; known: payout.mechanism"),
        ({"levels": {"x": {}}}, "labels.levels = 'x': no such factor"),
        (
            {"levels": {"training.epochs": {"3": "three"}}},
            "labels.levels.training.epochs = '3': no such level; known: 1, 2",
        ),
        (
            {"levels": {"payout.mechanism": {"vbfl": "flat"}}},
            "labels.levels.payout.mechanism = 'flat': two levels would have this name",
        ),
        ({"factors": {"training.epochs": "a\nb"}}, "must be one line of text"),
        ({"factors": {"training.epochs": ""}}, "at least 1 character"),
        ({"factors": {"training.epochs": "x" * 61}}, "at most 60 characters"),
        ({"factor": {}}, "labels.factor"),
    ],
)
def test_wrong_labels_are_one_line(labels, message):
    with pytest.raises(ScenarioError) as error:
        load_spec(spec(**labels))
    assert message in str(error.value)
    assert str(error.value).isprintable()


@pytest.mark.slow
def test_a_sweep_is_shown_by_its_labels(tmp_path):
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "quad.py").write_text(RULE.format(name="quadratic"))
    (tmp_path / "mine.py").write_text(RULE.format(name="mine"))
    rules = ["vbfl", "one/quad.py:Quadratic", "two/quad.py:Quadratic", "mine.py:Quadratic"]
    file = {
        "name": "lab",
        "scenario": "vbfl",
        "set": {**TINY, "rounds": 1},
        "labels": {
            "factors": {"training.epochs": "passes over the data"},
            "levels": {
                "payout.mechanism": {"vbfl": "the paper's rule"},
                "training.epochs": {"1": "one"},
            },
        },
        "design": [{"factors": {"payout.mechanism": rules, "training.epochs": [1, 2]}}],
    }
    (tmp_path / "lab.toml").write_text(tomli_w.dumps(file))
    (tmp_path / "two" / "quad.py").write_text(RULE.format(name="quadratic") + "# another\n")
    results = sweep(tmp_path / "lab.toml", tmp_path / "lab", workers=1)
    recorded = results.runs()["payout.mechanism"]
    assert str(tmp_path / "mine.py:Quadratic") in set(recorded), "the recorded level stays as it is"

    # Everybody may read it without the plug-ins.
    for file in tmp_path.rglob("*.py"):
        file.unlink()
    labels = Results.open(tmp_path / "lab").labels
    rules = [labels.level("payout.mechanism", level) for level in recorded.unique()]
    assert rules == [
        "the paper's rule", "quadratic (one/quad.py)", "quadratic (two/quad.py)", "mine",
    ]  # fmt: skip
    assert labels.factor("training.epochs") == "passes over the data"
    text = report(Results.open(tmp_path / "lab"), figures="accuracy-curves").read_text()
    assert "quadratic (one/quad.py)" in text
    assert "passes over the data" in text
    shown = text[: text.index("<h2>Sweep</h2>")]
    assert str(tmp_path / "one") not in shown.replace(f"report {tmp_path}", "")
    run = results.runs()["run_id"][recorded.str.contains("mine.py")].iloc[0]
    assert open_run(tmp_path / "lab" / "runs" / run).manifest["plugins"] == {
        "payout.mechanism": "mine"
    }


def test_a_frame_has_own_names_in_the_place_of_paths_alone():
    levels = {"payout.mechanism": ["/a/quad.py:Quadratic", "flat"], "devices": [10_000, 20_000]}
    own = {"payout.mechanism": {"/a/quad.py:Quadratic": "quadratic"}}
    given = {"levels": {"payout.mechanism": {"flat": "paid alike"}}}
    frame = pd.DataFrame(levels)
    shown = labels_of(levels, given, own).without_paths(frame)
    assert shown["payout.mechanism"].tolist() == ["quadratic", "flat"]
    assert shown["devices"].tolist() == [10_000, 20_000]
    assert shown.dtypes.equals(frame.dtypes)


def test_a_summary_calls_a_plug_in_by_its_name(tmp_path):
    (tmp_path / "mine.py").write_text(RULE.format(name="mine"))
    rule = f"{tmp_path / 'mine.py'}:Quadratic"
    design = [{"factors": {"payout.mechanism": ["vbfl", rule]}}]
    spec = {"name": "s", "scenario": "vbfl", "set": TINY | {"rounds": 1}, "seeds": 1}
    results = sweep(spec | {"design": design}, tmp_path / "s", workers=1)
    assert results.summary()["payout.mechanism"].tolist() == ["vbfl", "mine"]
    assert results.summary(named=False)["payout.mechanism"].tolist() == ["vbfl", rule]
