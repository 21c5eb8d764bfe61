"""Sweeps that grow, shrink, take over runs, or have no file of their own."""

import shutil

import numpy as np
import pytest
from typer.testing import CliRunner

from experiments import Results, RunError, ScenarioError, sweep
from experiments.cli import app
from experiments.sweeps.drive import Sweep
from experiments.sweeps.plan import load_spec
from experiments.sweeps.request import parse_vary, requested
from fedstake.errors import FedstakeWarning
from tests.conftest import TINY
from tests.experiments.test_sweeps import RATE, asked, content, stamps

FEWER = asked(seeds=1, design=[{"factors": {RATE: [0.1, 0.2]}}])
"""Two runs of 20 ms."""


def more(**changes):
    return FEWER | changes


@pytest.fixture(scope="module")
def two(tmp_path_factory):
    """A finished sweep of two runs; tests work on copies."""
    folder = tmp_path_factory.mktemp("two") / "two"
    sweep(FEWER, folder, workers=1)
    return folder


@pytest.fixture
def out(two, tmp_path):
    return shutil.copytree(two, tmp_path / "out")


# --- growing ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("grown", "runs"),
    [
        (more(seeds=2), 4),
        (more(seeds=[3, 0]), 4),
        (more(design=[{"factors": {RATE: [0.3, 0.2, 0.1]}}]), 3),
        (more(design=[*FEWER["design"], {"factors": {"training.epochs": [2, 1]}}]), 4),
        (more(design=[{"factors": {"rate": {"low": {RATE: 0.1}, "high": {RATE: 0.2}}}}]), 2),
    ],
    ids=["seeds", "a list of seeds", "levels", "a factor", "names of levels"],
)
def test_a_sweep_grows_in_its_folder(out, grown, runs, recwarn):
    before = stamps(out)
    planned = Sweep(grown, out)
    assert len(planned.todo) == runs - 2
    outcome = planned.play(workers=1)
    assert (outcome.planned, outcome.found, outcome.done) == (runs, 2, runs - 2)
    assert before.items() <= stamps(out).items(), "finished runs are left alone"
    results = Results.open(out)
    assert set(results.runs()["status"]) == {"done"}
    assert len(results.outcomes()) == runs
    assert results.factors == load_spec(grown).factors
    assert not [w for w in recwarn if issubclass(w.category, FedstakeWarning)]
    assert Sweep(grown, out).play(workers=1).found == runs


@pytest.mark.parametrize("compact", [False, True])
def test_what_is_no_longer_part_stays_on_disk_and_leaves_the_results(out, compact):
    if compact:
        Results.open(out).compact(remove=True)
    tables = content(out)
    fewer = more(design=[{"factors": {RATE: [0.2]}}])
    with pytest.warns(FedstakeWarning, match="1 finished run is no longer part of the sweep"):
        outcome = Sweep(fewer, out).play(workers=1)
    assert (outcome.planned, outcome.found, outcome.done) == (1, 1, 0)
    results = Results.open(out)
    assert len(results.rounds()) == len(results.outcomes()) == 1
    assert results.sql("select count(distinct run_id) as n from rounds")["n"].item() == 1
    assert content(out) == tables
    results.compact(remove=True)
    assert Sweep(FEWER, out).play(workers=1).found == 2, "what comes back is there"
    assert len(Results.open(out).rounds()) == 2


def test_another_sweep_is_refused_where_runs_have_finished(out, tmp_path):
    other = more(set=FEWER["set"] | {"rounds": 2})
    with pytest.raises(RunError, match=r"holds another sweep .*none of its runs is part of this"):
        Sweep(other, out)
    (tmp_path / "begun").mkdir()
    Sweep(FEWER, tmp_path / "begun")._write_plan()
    assert Sweep(other, tmp_path / "begun").play(workers=1).done == 2, "nothing is lost there"


def test_killed_as_it_grows_it_is_the_old_sweep_or_the_new_one(out, monkeypatch):
    def cut(self, header):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(Sweep, "_write_header", cut)
        with pytest.raises(KeyboardInterrupt):
            Sweep(more(seeds=2), out).play(workers=1)
    assert len(Results.open(out).runs()) == 2
    assert Sweep(more(seeds=2), out).play(workers=1).done == 2
    assert len(Results.open(out).runs()) == 4


def test_results_that_are_open_see_the_growth(out):
    results = Results.open(out)
    sweep(more(design=[*FEWER["design"], {"factors": {"training.epochs": [1, 2]}}]), out, workers=1)
    assert len(results.rounds()) == 2
    results.refresh()
    assert len(results.rounds()) == 4
    assert results.factors == [RATE, "training.epochs"]


# --- runs of other folders ----------------------------------------------------------------------


@pytest.mark.parametrize("inner", ["", "runs"])
def test_runs_of_another_folder_are_taken_over(two, tmp_path, inner):
    outcome = Sweep(more(seeds=2), tmp_path / "out", reuse=[two / inner]).play(workers=1)
    assert (outcome.found, outcome.done) == (2, 2)
    ours, theirs = content(tmp_path / "out"), content(two)
    assert theirs.items() <= ours.items()
    name = next(iter(theirs))
    assert (two / "runs" / name).stat().st_ino == (tmp_path / "out/runs" / name).stat().st_ino
    frame = Results.open(tmp_path / "out").runs()
    assert set(frame["status"]) == {"done"}
    assert (frame["cpu_s"] > 0).all(), "their cost is known"


def test_a_damaged_run_of_another_folder_is_played_again(out, two, tmp_path):
    file = sorted(out.glob("runs/*/journal.parquet"))[0]
    body = bytearray(file.read_bytes())
    body[len(body) // 2] ^= 1
    file.write_bytes(body)
    planned = Sweep(FEWER, tmp_path / "new", reuse=[out])
    with pytest.warns(FedstakeWarning, match=r"journal.parquet: damaged.*; it is played again"):
        outcome = planned.play(workers=1)
    assert (outcome.found, outcome.done) == (1, 1)
    assert content(tmp_path / "new") == content(two)


def test_runs_that_are_only_in_compacted_tables_are_told(out, tmp_path):
    Results.open(out).compact(remove=True)
    shutil.copytree(out / "compact", out / "runs" / ("a" * 32))
    with pytest.raises(RunError, match=r"--reuse .*: holds no runs"):
        Sweep(FEWER, tmp_path / "new", reuse=[out])
    sweep(more(seeds=[5]), tmp_path / "other", workers=1)
    shutil.copytree(next((tmp_path / "other/runs").iterdir()), out / "runs" / "one")
    with pytest.warns(FedstakeWarning, match="2 runs are there in compacted tables only"):
        assert Sweep(FEWER, tmp_path / "new", reuse=[out]).play(workers=1).done == 2


def test_a_folder_to_reuse_must_be_there(tmp_path):
    with pytest.raises(RunError, match=r"--reuse .*nowhere: no such folder"):
        Sweep(FEWER, tmp_path / "out", reuse=[tmp_path / "nowhere"])


def test_copied_runs_are_found(two, tmp_path):
    shutil.copytree(two / "runs", tmp_path / "out" / "runs")
    assert Sweep(FEWER, tmp_path / "out").play(workers=1).found == 2
    (tmp_path / "board" / "runs" / "May01_12-00-00").mkdir(parents=True)
    with pytest.raises(RunError, match=r"is not empty and holds no sweep; .*--reuse takes over"):
        Sweep(FEWER, tmp_path / "board")


# --- without a file -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "levels"),
    [
        ("k=1,2", [1, 2]),
        ("k = 0.1, 1e-2", [0.1, 0.01]),
        ("k=vbfl,flat", ["vbfl", "flat"]),
        ("k=quad.py:Quadratic,vbfl", ["quad.py:Quadratic", "vbfl"]),
        ("k=true,2,x", [True, 2, "x"]),
        ('k="4,2,2","3,3,2"', ["4,2,2", "3,3,2"]),
        ("k=[1, 2],[3]", [[1, 2], [3]]),
        ("k={a = 1},{a = 2}", [{"a": 1}, {"a": 2}]),
        ("k=3", [3]),
    ],
)
def test_values_are_read_like_those_of_set(text, levels):
    assert parse_vary([text]) == {"k": levels}


@pytest.mark.parametrize(
    ("texts", "part"),
    [
        (["k"], "write key=value,value"),
        (["=1"], "write key=value,value"),
        (["k="], "write key=value,value"),
        (["k=a,,b"], "nothing between two commas"),
        (["k=1", "k=2"], "k is varied already"),
    ],
)
def test_wrong_ones_cost_one_line(texts, part):
    with pytest.raises(ScenarioError, match=part):
        parse_vary(texts)


def test_a_scenario_is_varied_from_python(tmp_path):
    results = sweep(
        "vbfl",
        tmp_path / "out",
        vary={RATE: np.array([0.1, 0.2])},
        seeds=[0, 4],
        set=TINY | {"rounds": 1},
        workers=1,
    )
    assert sorted(results.runs()["seed"]) == [0, 0, 4, 4]
    assert set(results.runs()[RATE]) == {0.1, 0.2}
    assert results.name == f"vbfl-{RATE}"


def test_a_file_gets_more_factors_and_seeds(tmp_path):
    file = tmp_path / "s.toml"
    file.write_text('scenario = "vbfl"\nseeds = 2\n[[design]]\nfactors = {rounds = [1, 2]}\n')
    spec = requested(file, vary={RATE: (0.1, 0.2)}, seeds=3, set={"devices": 30})
    assert spec.factors == ["rounds", RATE]
    assert (spec.seed_list, spec.set) == ((0, 1, 2), {"devices": 30})
    with pytest.raises(ScenarioError, match=r"design.1.factors.rounds = 'rounds': is a factor"):
        requested(file, vary={"rounds": [3]})


@pytest.fixture
def cli(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return lambda *args: CliRunner().invoke(app, ["sweep", *args])


def test_the_command_needs_no_file(cli, tmp_path):
    (tmp_path / "small.toml").write_text(
        'extends = "vbfl"\nrounds = 1\ndevices = 8\nmodel.name = "softmax"\n'
        'data = {dataset = "synthetic", partition = "iid", validation_fraction = 0.25, '
        "params = {train = 160, test = 60, features = 6, classes = 3}}\n"
        'roles.params.counts = "4,2,2"\n'
    )
    first = ["small.toml", "--vary", "training.epochs=1,2", "--workers", "1"]
    done = cli(*first)
    assert done.exit_code == 0, done.output
    assert "2 runs: 0 reused, 2 new, 0 failed" in done.output
    assert (tmp_path / "results" / "small-training.epochs" / "sweep.json").is_file()
    more = cli(*first, "--seeds", "2", "--set", "rounds=1")
    assert "4 runs: 2 reused, 2 new, 0 failed" in more.output
    fewer = cli(*first)
    assert "2 runs: 2 reused, 0 new, 0 failed" in fewer.output
    assert "2 finished runs are no longer part of the sweep" in fewer.output
    other = cli(*first, "--out", "other", "--reuse", "results/small-training.epochs")
    assert "2 runs: 2 reused, 0 new, 0 failed" in other.output


@pytest.mark.parametrize("source", ["vbfl", "mine.toml"])
def test_a_scenario_alone_is_no_sweep(cli, tmp_path, source):
    (tmp_path / "mine.toml").write_text('extends = "vbfl"\nrounds = 1\n')
    done = cli(source)
    assert done.exit_code == 2
    assert f"fedstake: {source}: is a scenario" in done.output
    assert "--vary" in done.output
