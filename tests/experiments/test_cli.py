"""The command as users run it."""

import dataclasses
import os
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from experiments import load_scenario
from experiments.cli import app
from experiments.commands.demo import _play_on_evm
from experiments.demo import play, prepare
from experiments.figures import run_figures
from experiments.reports import report
from experiments.runner import run
from experiments.runresult import open_run
from experiments.sweeps.design import Block
from experiments.sweeps.drive import Sweep

ROOT = Path(__file__).parents[2]
QUICK = ["--set", "rounds=2"]


@pytest.fixture
def cli(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FEDSTAKE_DATA", str(tmp_path / "no-data"))

    def invoke(*args):
        return CliRunner().invoke(app, list(args))

    return invoke


@pytest.mark.slow
def test_run_report_and_rerun(cli, tmp_path):
    first = cli("run", "digits-quick", *QUICK, "--seed", "3", "--out", "mine")
    assert first.exit_code == 0, first.output
    assert "recorded in mine" in first.output
    drawn = cli("report", "mine")
    assert drawn.exit_code == 0, drawn.output
    names = {p.name for p in (tmp_path / "mine" / "report").iterdir()} - {"report.html"}
    figures = {name.partition(".")[0] for name in names}
    assert {"accuracy", "votes", "groups"} <= figures <= {f.name for f in run_figures()}
    assert names == {f"{figure}.{kind}" for figure in figures for kind in ("png", "svg", "csv")}
    again = cli("run", "digits-quick", *QUICK, "--seed", "3", "--out", "mine")
    assert "already recorded" in again.output
    other = cli("run", "digits-quick", *QUICK, "--seed", "4", "--out", "mine")
    assert other.exit_code == 2
    assert "holds another run" in other.output


@pytest.mark.parametrize(
    ("args", "parts"),
    [
        (
            ["run", "digits-quick", "--set", "training.lerning_rate=0.1"],
            ["digits-quick: training.lerning_rate = 0.1", "learning_rate"],
        ),
        (
            ["run", "digits-quick", "--set", "training.learning_rate=nan"],
            ["training.learning_rate = nan"],
        ),
        (
            ["run", "digits-quick", "--set", "roles.params.counts=12,0,3"],
            ["roles.params.counts", "at least 1"],
        ),
        (["run", "digits-quick", "--set", "nonsense"], ["--set", "key=value"]),
        (["run", "nowhere.toml"], ["nowhere.toml", "no such file"]),
        (["run", "vbfl"], ["mnist", "FEDSTAKE_DATA"]),
        (
            ["run", "digits-quick", "--set", "model.name=nowhere.py:X"],
            ["model.name", "no such file"],
        ),
        (["run", "nowhere.py:X"], ["nowhere.py:X", "no such file"]),  # no emoji for :X:
        (["report", "nowhere"], ["nowhere", "no such folder"]),
        (["compare", "nowhere"], ["nowhere", "no such folder"]),
        (
            ["report", "."],
            [
                "neither a run (manifest.json) nor a sweep (sweep.json)",
                "fedstake run",
                "fedstake sweep",
            ],
        ),
        (["list", "mechanism"], ["did you mean 'mechanisms'"]),
    ],
)
def test_bad_input_is_one_line_exit_two_and_nothing_written(cli, tmp_path, args, parts):
    done = cli(*args)
    assert done.exit_code == 2, done.output
    lines = done.output.strip().splitlines()
    assert len(lines) == 1
    assert lines[0].startswith("fedstake: ")
    for part in parts:
        assert part in lines[0]
    assert list(tmp_path.iterdir()) == []


def test_usage_errors_and_help(cli):
    assert cli("run").exit_code == 2
    assert cli("run", "digits-quick", "--sed", "1").exit_code == 2
    for name in ("run", "report", "compare", "list", "demo"):
        shown = cli(name, "--help")
        assert shown.exit_code == 0
        assert "Example: fedstake" in shown.output


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        (
            "mechanisms",
            [
                "vbfl",
                "observes: claims, votes",
                "unit_reward = 1",
                "base units",
                "arXiv:2101.03300",
            ],
        ),
        ("behaviours", ["worker gaussian-noise", "validator flip", "miner withhold", "knows"]),
        ("aggregators", ["mean", "weighted"]),
        ("validators", ["threshold", "0.08", "<= 1"]),
        ("roles", ["counts", "stochastic"]),
        ("datasets", ["digits", "mnist", "mnist-10k", "fashion-mnist", "synthetic"]),
        ("models", ["mnist_2nn", "mnist_cnn", "softmax", "mlp"]),
        ("scenarios", ["vbfl", "vbfl-published", "fedavg", "digits-quick"]),
    ],
)
def test_list(cli, kind, expected):
    done = cli("list", kind)
    assert done.exit_code == 0, done.output
    for part in expected:
        assert part in done.output


@pytest.mark.slow
def test_the_report_needs_nothing_but_itself(tiny, tmp_path):
    page = report(run(tiny(adversaries__0__count=2), tmp_path / "run"))
    text = page.read_text()
    drawn = [f for f in run_figures() if (page.parent / f"{f.name}.svg").is_file()]
    assert len(drawn) >= 5
    assert text.count("data:image/webp;base64,") == 2 * len(drawn), "and one for small screens"
    for outside in ("http:", "https:", "<script src", "<link"):
        assert outside not in text
    again = report(run(tiny(adversaries__0__count=2), tmp_path / "other"))
    for f in drawn:
        ours, theirs = ((p.parent / f"{f.name}.svg").read_bytes() for p in (page, again))
        assert ours == theirs, "the same run draws the same file"


def test_compare(cli, tmp_path):
    assert cli("run", "digits-quick", *QUICK, "--out", "plain").exit_code == 0
    refused = cli("compare", "plain")
    assert refused.exit_code == 2
    assert "--set record.tape=true" in refused.output
    assert len(refused.output.strip().splitlines()) == 1
    assert (
        cli("run", "digits-quick", *QUICK, "--set", "record.tape=true", "--out", "taped").exit_code
        == 0
    )
    shown = cli("compare", "taped", "--rule", "flat", "--rule", "shapley", "--out", "incomes.csv")
    assert shown.exit_code == 0, shown.output
    first = [line.split()[0] for line in shown.output.splitlines() if line.strip()]
    at = first.index("flat")
    assert first[at : at + 2] == ["flat", "shapley"]
    assert len((tmp_path / "incomes.csv").read_text().splitlines()) == 1 + 2 * 20
    folder = cli("compare", "taped", "--rule", "flat", "--out", "taped")
    assert (
        folder.exit_code,
        "fedstake: taped: is a folder; give the name of a file" in folder.output,
    ) == (2, True)
    (tmp_path / "even_pot.py").write_text(
        "from mechanisms.payouts.flat import Flat\nclass EvenPot(Flat):\n    name = 'even-pot'\n"
    )
    own = cli("compare", "taped", "--rule", "even_pot.py:EvenPot", "--rule", "flat").output
    assert [row.split()[0] for row in own.splitlines()][-2:] == ["even-pot", "flat"]
    wrong = cli("compare", "taped", "--rule", "flatt")
    assert wrong.exit_code == 2
    assert "taped: --rule flatt: no such mechanism; did you mean 'flat'?" in wrong.output
    poor = cli("compare", "taped", "--rule", "slashed-vbfl", "--rule", "vbfl")
    assert poor.exit_code == 0
    rows = [line.split() for line in poor.output.splitlines()]
    assert next(row for row in rows if row[0] == "slashed-vbfl")[1:4] == ["–", "–", "–"]
    assert "slashed-vbfl: nobody could have joined: " in poor.output


def test_fedavg_report_leaves_out_what_it_does_not_have(tiny, tmp_path):
    page = report(run(tiny("fedavg"), tmp_path / "run"))
    assert not (page.parent / "votes.png").exists()
    assert (page.parent / "accuracy.png").exists()


def test_importing_the_command_does_not_load_torch():
    code = "import sys, experiments.cli; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=os.environ).returncode == 0


STORY = {
    "mechanism": ["FedAvg, unpaid", "VBFL", "coordinator"],
    "attack": ["nobody", "noise, 3 of 20", "one idler", "one of two", "two sybils"],
}


def shorter(spec):
    """The demo's sweep with no more than its story needs."""
    (block,) = spec.design
    factors = {
        name: {level: block.factors[name][level] for level in levels}
        for name, levels in STORY.items()
    }
    rounds = {**spec.set, "rounds": 7}
    return spec.model_copy(update={"design": (Block(factors=factors),), "set": rounds})


@pytest.mark.slow
@pytest.mark.parametrize("whole", [False, pytest.param(True, marks=pytest.mark.soak)])
def test_demo_tells_the_story_on_real_digits(tmp_path, whole, evm_programs, capsys):
    demo = prepare(tmp_path / "demo", seeds=2)
    if not whole:
        demo = Sweep(shorter(demo.spec), demo.folder)
    outcome = play(demo, workers=2 if whole else 1)
    table = outcome.table.set_index("mechanism")
    assert len(table) == len(outcome.ranking) == (7 if whole else 3)
    assert (table["accuracy"] > 0.85).all(), "everybody learns the digits when nobody attacks"
    assert table.loc["VBFL", "worst accuracy"] > table.loc["FedAvg, unpaid", "worst accuracy"], (
        "validation beats none under attack"
    )
    assert outcome.winner is not None, outcome.reading
    assert load_scenario(outcome.winner).payout.mechanism != "none"
    assert "Winner" in outcome.reading
    assert outcome.page.is_file()

    # Its end on an EVM: the best mechanism that a contract plays, under its worst attack.
    _play_on_evm(outcome)
    printed = " ".join(capsys.readouterr().out.split())
    attacked = outcome.worst["coordinator"]
    assert "where contract Coordinator computes what is paid" in printed
    assert ("No contract plays" in printed) == (outcome.name != "coordinator")
    assert "reconciled: " in printed
    assert "NOT reconciled" not in printed
    assert "EVM: reconciled: " in report(open_run(attacked.path), figures="accuracy").read_text()
    without = {k: v for k, v in outcome.worst.items() if k != "coordinator"}
    _play_on_evm(dataclasses.replace(outcome, worst=without))
    assert "no contract plays any of these" in " ".join(capsys.readouterr().out.split())
