"""Reproductions: plans load, verdicts are right, the smallest size runs from end to end."""

import pandas as pd
import pytest
from typer.testing import CliRunner

from experiments.cli import app
from experiments.loader import ScenarioError
from experiments.reproduce import verdicts
from experiments.reproduce.driver import Reproduction, load_paper
from experiments.reproduce.evidence import Evidence
from experiments.reproduce.plan import HERE, papers, parts, sizes
from experiments.reproduce.vbfl.measures import least_error
from experiments.reproduce.verdicts import Expected, by_part, deviation, tally, verdict
from experiments.sweeps.plan import plan
from sim.keys import has_key


def expected(**changes):
    entry = {
        "id": "x",
        "what": "x",
        "value": 0.8,
        "tolerance": 0.05,
        "unit": "accuracy",
        "sizes": ["paper"],
        "citation": "y",
    }
    return Expected.model_validate(entry | changes)


@pytest.mark.parametrize(
    ("changes", "measured", "beyond"),
    [
        ({}, 0.85, 0.0),
        ({}, 0.75, 0.0),
        ({}, 0.9, 0.05),
        ({}, 0.7, -0.05),
        ({"relation": "at least", "tolerance": 0.0}, 0.95, 0.0),
        ({"relation": "at least", "tolerance": 0.0}, 0.7, -0.1),
        ({"relation": "at most", "tolerance": 0.0}, 0.1, 0.0),
        ({"relation": "at most"}, 0.9, 0.05),
        ({"value": 12, "tolerance": 0.0}, 12.0, 0.0),
        ({"value": None}, 0.3, 0.0),
    ],
)
def test_what_is_outside_is_outside_by_what_exceeds_the_tolerance(changes, measured, beyond):
    assert deviation(expected(**changes), measured) == pytest.approx(beyond)


@pytest.mark.parametrize(
    ("changes", "measured", "size", "word"),
    [
        ({}, [0.7, 0.9], "paper", "within"),
        ({}, [0.9, 1.0], "paper", "outside by +0.1"),
        ({}, [0.5], "paper", "outside by −0.25"),
        ({}, [0.8], "smoke", "not at this size"),
        ({}, [], "smoke", "not at this size"),
        ({}, [], "paper", "not run"),
        ({"value": None}, [0.8], "paper", "not published"),
        ({"value": None}, [], "paper", "not run"),
        ({"needs": "a.npz"}, [], "smoke", "not at hand: a.npz"),
        ({"needs": "a.npz", "value": None}, [], "paper", "not at hand: a.npz"),
        ({"needs": "a.npz"}, [0.8], "paper", "within"),
    ],
)
def test_the_verdict_is_on_the_mean_over_seeds(changes, measured, size, word):
    assert verdict(expected(**changes), measured, size) == word


@pytest.mark.parametrize(
    ("relation", "measured", "word"),
    [
        ("above", [1.0, 1.1, 0.9], "within"),
        ("above", [-0.2, 1.0, 1.1], "undecided"),
        ("above", [-1.0, -1.0], "outside by −1"),
        ("above", [1.0], "undecided"),
        ("above", [0.0, 0.0], "undecided"),
        ("below", [-1.0, -1.1, -0.9], "within"),
        ("below", [0.2, -1.0, -1.1], "undecided"),
        ("below", [1.0, 1.0], "outside by +1"),
    ],
)
def test_what_is_surely_above_or_below_is_so_with_its_whole_interval(relation, measured, word):
    entry = expected(value=0.0, tolerance=0.0, relation=relation)
    assert verdict(entry, measured, "paper") == word


def test_a_part_is_reproduced_when_nothing_of_it_is_outside_or_undecided():
    kinds = {
        "a": ["within", "not published", "not at hand: x"],
        "b": ["within", "outside by −1"],
        "c": ["not at hand: x", "not at hand: y"],
        "d": ["within", "undecided"],
        "e": ["not at this size", "not run"],
        "f": ["not published"],
    }
    rows = [{"part": part, "verdict": v} for part, words in kinds.items() for v in words]
    found = by_part(pd.DataFrame(rows)).set_index("part")
    assert found["verdict"].to_dict() == {
        "a": "reproduced",
        "b": "differs",
        "c": "cannot be had here",
        "d": "undecided",
        "e": "not at this size",
        "f": "not published",
    }
    assert found["values"]["c"] == "2 not at hand"
    assert by_part(pd.DataFrame({"part": ["", ""], "verdict": ["within"] * 2})).empty


def test_numbers_are_read_easily():
    assert [verdicts.number(v) for v in (12.0, 0.12345, 155_000, 1234.5, -0.5)] == [
        "12",
        "0.123",
        "155,000",
        "1,234",
        "-0.5",
    ]
    assert (
        verdicts.markdown(pd.DataFrame({"a": [1], "b": ["x|y"]}))
        == "| a | b |\n| --- | --- |\n| 1 | x/y |\n"
    )
    counted = tally(
        pd.DataFrame({"verdict": ["within", "outside by −1", "within", "outside by +2"]})
    )
    assert counted == "2 within, 2 outside"


def test_the_best_threshold_has_the_least_mean_error():
    def votes(*rows):
        return pd.DataFrame(rows, columns=["vad", "worker_adversary"])

    apart = votes((-0.1, False), (0.0, False), (0.2, True))
    assert least_error(apart) == 0.0
    mixed = votes((0.0, False), (0.3, False), (0.2, True), (0.4, True))
    assert least_error(mixed) == 0.25
    same = votes((0.1, False), (0.1, True))
    assert least_error(same) == 0.5


@pytest.mark.parametrize("paper", papers())
def test_every_expected_value_has_a_citation_and_a_measure(paper):
    entries = verdicts.load(HERE / paper / "expected.json")
    assert len({entry.id for entry in entries}) == len(entries)
    assert {entry.id for entry in entries} == set(load_paper(paper).measures)
    for entry in entries:
        assert entry.citation
        assert set(entry.sizes) <= set(sizes(paper))
        assert entry.sizes or entry.value is None, f"{entry.id}: a value that is to hold nowhere"


def _value(values, key):
    for name in key.split("."):
        values = values[name]
    return values


@pytest.mark.parametrize(("paper", "size"), [(p, s) for p in papers() for s in sizes(p)])
def test_every_group_of_every_size_can_be_planned(paper, size):
    optional = [name for name, group in sizes(paper)[size].groups.items() if group.optional]
    planned = parts(paper, size, optional)
    assert set(planned) == set(sizes(paper)[size].groups)
    for part in planned.values():
        runs = plan(part.spec)
        assert part.cpu_s(runs) > 0
        for key, value in sizes(paper)[size].set.items():
            kept = [r.scenario.to_dict() for r in runs if has_key(type(r.scenario), key.split("."))]
            assert all(_value(values, key) == part.spec.set.get(key, value) for values in kept)
    assert set(parts(paper, size)) == set(planned) - set(optional)


def test_the_paper_size_is_the_papers():
    scenario = plan(parts("vbfl", "paper")["arms"].spec)[0].scenario
    assert (scenario.data.dataset, scenario.model.name, scenario.rounds, scenario.devices) == (
        "mnist",
        "mnist_cnn",
        100,
        20,
    )
    assert (
        scenario.training.epochs,
        scenario.training.batch_size,
        scenario.training.learning_rate,
    ) == (5, 10, 0.01)


@pytest.mark.parametrize("name", papers())
def test_nothing_played_gives_no_numbers_and_no_figures(name):
    paper = load_paper(name)
    nothing = Evidence({})
    measured = [key for key, measure in paper.measures.items() if list(measure(nothing))]
    assert all(key.startswith("deposit-") for key in measured), "a formula needs no run"
    assert all(figure.data(nothing).empty for figure in paper.figures)
    assert all(table.empty for _, table in paper.findings(nothing))


def test_unknown_names_say_which_there_are():
    for arguments, word in (
        (("nobody", "smoke"), "vbfl"),
        (("vbfl", "huge"), "smoke, reduced, paper"),
        (("vbfl", "reduced", None, ["cn"]), "cnn"),
        (("vbfl", "smoke", None, ["cnn"]), "no optional groups"),
    ):
        with pytest.raises(ScenarioError, match=word):
            Reproduction(*arguments)


@pytest.mark.parametrize(
    ("args", "part"),
    [
        (["nobody"], "vbfl"),
        (["vbfl", "--size", "smok"], "did you mean 'smoke'"),
        (["vbfl", "--size", "reduced"], "FEDSTAKE_DATA"),
    ],
)
def test_errors_are_one_line(args, part, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FEDSTAKE_DATA", str(tmp_path / "no-data"))
    done = CliRunner().invoke(app, ["reproduce", *args])
    assert done.exit_code == 2
    assert len(done.output.strip().splitlines()) == 1
    assert part in done.output
    assert list(tmp_path.iterdir()) == []


def test_a_dry_run_needs_no_data_and_writes_nothing(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(
        app, ["reproduce", "vbfl", "--size", "paper", "--dry-run", "--workers", "4"]
    )
    assert done.exit_code == 0, done.output
    assert "h of CPU time" in done.output
    assert list(tmp_path.iterdir()) == []


NEEDS_MORE = {"network"}
"""Figures of groups that the smallest size does not play."""


@pytest.mark.slow
@pytest.mark.parametrize("paper", papers())
def test_the_smallest_size_runs_from_end_to_end(paper, tmp_path):
    args = ["reproduce", paper, "--size", "smoke", "--workers", "1", "--out", str(tmp_path / "out")]
    done = CliRunner().invoke(app, args)
    assert done.exit_code == 0, done.output
    found = pd.read_csv(tmp_path / "out" / "verdicts.csv")
    kinds = found["verdict"].map(verdicts.kind_of)
    here = found[kinds.isin([verdicts.WITHIN, verdicts.OUTSIDE, verdicts.UNDECIDED])]
    assert len(here) >= 5
    assert set(here["verdict"]) == {"within"}, "what holds at any size holds here"
    for kind in ("png", "svg", "csv"):
        drawn = {p.stem for p in (tmp_path / "out" / "figures").glob(f"*.{kind}")}
        assert {figure.name for figure in load_paper(paper).figures} - drawn <= NEEDS_MORE
    assert "CPU time" in (tmp_path / "out" / "report.html").read_text()
    assert "| what |" in (tmp_path / "out" / "verdicts.md").read_text()
    again = Reproduction(paper, "smoke", tmp_path / "out")
    assert all(not sweep.todo for sweep in again.sweeps.values()), "a second time only draws"
