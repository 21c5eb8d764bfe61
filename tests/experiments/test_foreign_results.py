"""Somebody else's results: what is only read runs no code and no SQL, and touches no other file."""

import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from experiments import Results, compare_payouts, open_run, report, sweep
from experiments.cli import app
from experiments.rundir import RunError
from experiments.scorecard.winner import compare
from mechanisms.plugin import PluginError
from mechanisms.registry import import_by_path, reading
from tests.conftest import TINY

GENEROUS = Path(__file__).parents[1] / "plugins" / "generous.py"
MODEL = """
import torch
from fedstake import ModelSource

class Own(ModelSource):
    name = "own"
    summary = "a linear model"
    reference = "test"

    def build(self, shape, classes):
        size = 1
        for n in shape:
            size *= n
        return torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(size, classes))
"""
TRAP = "\nfrom pathlib import Path\nPath(__file__).with_suffix('.sprung').touch()\n"
EVIL = "x\" from p; copy (select 1) to '{file}'; select \""
NAMES = ("t", "P", "who", 'quo"te', "a'b", "x; drop view t", "--", "/* */", "$1", "{0}", "ro\nw")
LEVELS = ("it's", 'say "x"', "'; drop view p; --", "=1+1", "a\nb", "\x1b[31mred", "[bold]x[/bold]")


def command(*words: str):
    return CliRunner().invoke(app, list(words))


# --- code ---------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    """A run and a sweep with a rule and a model of their own, as somebody would send them."""
    place = tmp_path_factory.mktemp("theirs")
    shutil.copy(GENEROUS, place / "generous.py")
    (place / "net.py").write_text(MODEL)
    keys = {
        **TINY,
        "rounds": 2,
        "record.tape": True,
        "model.name": f"{place}/net.py:Own",
        "payout.mechanism": f"{place}/generous.py:Generous",
    }
    keys = {key: keys[key] for key in sorted(keys, key=lambda key: key.endswith("params"))}
    factors = {
        "payout.mechanism": [f"{place}/generous.py:Generous"],
        "attack": {"nobody": {"adversaries": []}},
    }
    spec = {
        "name": "theirs",
        "scenario": "vbfl",
        "set": {k: v for k, v in keys.items() if k != "payout.mechanism"},
        "design": [{"factors": factors}],
        "scorecard": {"objective": {"measure": "accuracy", "best": "max"}},
    }
    sweep(spec, place / "sweep", workers=1)
    run_id = Results.open(place / "sweep").runs()["run_id"].iloc[0]
    shutil.copytree(place / "sweep" / "runs" / run_id, place / "run")
    return place


@pytest.fixture
def traps(recorded):
    """The plug-in files as traps: another content, so that importing them again is seen."""
    files = [recorded / "generous.py", recorded / "net.py"]
    before = [file.read_text() for file in files]
    for file, text in zip(files, before, strict=True):
        file.write_text(text + TRAP)
    yield recorded
    sprung = list(recorded.glob("*.sprung"))
    for file, text in zip(files, before, strict=True):
        file.write_text(text)
        file.with_suffix(".sprung").unlink(missing_ok=True)
    assert not sprung, "reading imported what came with the results"


@pytest.mark.slow
@pytest.mark.parametrize(
    "words",
    [
        ("report", "run"),
        ("report", "sweep"),
        ("compare", "sweep"),
        ("compare", "run", "--rule", "vbfl", "--rule", "shapley"),
        ("replay", "run", "--dry-run"),
    ],
    ids=" ".join,
)
def test_reading_commands_import_nothing_that_came_with_the_results(traps, tmp_path, words):
    verb, folder, *more = words
    home = shutil.copytree(traps / folder, tmp_path / folder)
    done = command(verb, str(home), *more)
    assert done.exit_code == 0, done.output


def test_a_run_s_own_rule_is_refused_in_one_line_that_names_trust(traps):
    done = command("compare", str(traps / "run"))
    assert done.exit_code == 2
    (line,) = done.output.strip().splitlines()
    for part in ("generous.py:Generous", "--trust", "--rule NAME"):
        assert part in line


def test_a_rule_that_needs_the_run_s_own_model_says_so(traps):
    table = compare_payouts(open_run(traps / "run"), ["vbfl", "shapley"])
    errors = table.set_index("mechanism")["error"].dropna()
    assert list(errors.index) == ["shapley"]
    assert "net.py:Own" in errors["shapley"]
    assert "--trust" in errors["shapley"]


@pytest.mark.slow
def test_python_s_way_of_reading_imports_nothing_either(traps, tmp_path):
    results = Results.open(shutil.copytree(traps / "sweep", tmp_path / "sweep"))
    compare(results)
    report(results, figures="payoffs,accuracy-curves")
    report(open_run(traps / "run"), tmp_path / "page", figures="groups")
    with pytest.raises(RunError, match="--trust"):
        compare_payouts(open_run(traps / "run"))


@pytest.mark.slow
def test_with_trust_they_are_imported(recorded, tmp_path):
    home = shutil.copytree(recorded / "run", tmp_path / "run")
    done = command("compare", str(home), "--trust")
    assert done.exit_code == 0, done.output
    assert "generous" in done.output
    for words in (("report", "--figures", "payoffs"), ("compare",)):
        verb, *more = words
        assert command(verb, str(recorded / "sweep"), "--trust", *more).exit_code == 0
    table = compare_payouts(open_run(home), trust=True)
    assert table["error"].isna().all() or not table["error"].dropna().str.contains("trust").any()


def test_a_file_that_the_user_names_needs_no_trust(recorded, tmp_path):
    """Naming it is the user's own act, as for `run`."""
    (tmp_path / "mine.py").write_text(GENEROUS.read_text())
    table = compare_payouts(open_run(recorded / "run"), [f"{tmp_path}/mine.py:Generous"])
    assert table["income"].notna().all()


def test_what_is_trusted_outside_stays_trusted_inside():
    name = f"{GENEROUS}:Generous"
    with reading(), pytest.raises(PluginError, match="--trust"):
        import_by_path(name)
    with reading(trust=True), reading():
        assert import_by_path(name).name == "generous"
    with reading(own=[name]), reading():
        assert import_by_path(name).name == "generous"
    assert import_by_path(name).name == "generous"


# --- SQL ----------------------------------------------------------------------------------------


def spec_with(names, levels):
    """A sweep over one rate, its factors and levels called as given."""
    rates = [0.1, 0.2, 0.05, 0.3, 0.15, 0.25, 0.35]
    first = {
        level: {"training.learning_rate": rate} for level, rate in zip(levels, rates, strict=False)
    }
    others = {
        name: {f"{name} {i}": {f"training.{key}": value} for i, value in enumerate(values)}
        for name, (key, values) in zip(
            names[1:], (("batch_size", [5, 10]), ("epochs", [1, 2])), strict=False
        )
    }
    return {
        "name": "names",
        "scenario": "vbfl",
        "set": {k: v for k, v in {**TINY, "rounds": 1}.items() if k != "training.epochs"},
        "design": [{"factors": {names[0]: first, **others}}],
    }


@pytest.mark.slow
def test_names_are_no_sql(tmp_path, monkeypatch):
    """Factors called like statements, levels with quotes: nothing runs, all of it is literal."""
    monkeypatch.chdir(tmp_path)
    evil = EVIL.format(file=tmp_path / "written")
    for names, levels in (((evil,), LEVELS), ((NAMES[3], NAMES[0]), LEVELS[:2])):
        folder = tmp_path / str(len(levels))
        results = sweep(spec_with(names, levels), folder, workers=1)
        assert list(results.factors) == list(names)
        frame = results.rounds()
        assert set(frame[names[0]]) == set(levels)
        assert set(results.summary()[names[0]]) == set(levels)
        results.compact()
        assert set(Results.open(folder).rounds()[names[0]]) == set(levels)
        done = command("report", str(folder))
        assert done.exit_code == 0, done.output
    assert not (tmp_path / "written").exists()


def test_the_database_of_results_reads_its_folder_and_nothing_else(recorded, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "secret.csv").write_text("a\n1\n")
    results = Results.open(recorded / "sweep")
    shutil.copy(recorded / "sweep" / "plan.parquet", tmp_path / "other.parquet")
    secret = tmp_path  # noqa: F841 - a variable that SQL could name
    for query in (
        f"select * from read_csv('{tmp_path}/secret.csv')",
        f"select * from '{tmp_path}/secret.csv'",
        f"select * from read_text('{tmp_path}/secret.csv')",
        f"select * from read_parquet('{tmp_path}/other.parquet')",
        f"select * from read_parquet('{recorded}/sweep/../../other.parquet')",
        f"select * from glob('{tmp_path}/*') where error(file)",
        "select * from read_parquet('http://127.0.0.1:9/x.parquet')",
        f"copy (select 1) to '{recorded}/sweep/x.csv'",
        f"copy (select 1) to '{tmp_path}/x.csv'",
        f"attach '{tmp_path}/x.db'",
        "install httpfs",
        "load httpfs",
        "set enable_external_access = true",
        "select 1; select 2",
        "select * from secret",
    ):
        with pytest.raises(RunError) as raised:
            results.sql(query)
        assert "\n" not in str(raised.value)
    with pytest.raises(RunError):
        results.rounds(where=f"1 = 1) ; copy (select 1) to '{tmp_path}/x.csv'; --")
    assert sorted(file.name for file in tmp_path.iterdir()) == ["other.parquet", "secret.csv"]
    assert not (recorded / "sweep" / "x.csv").exists()
