"""Commands are found in their folder, start quickly, and end in one line when they fail."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from chain_bridge.errors import BridgeError, PlanError
from experiments import commands, run, sweep
from experiments.cli import app
from experiments.commands.list import _adversaries
from experiments.kinds import listed
from experiments.loader import ScenarioError, dumps
from experiments.pool import StoppedError
from experiments.terminal import one_line_errors
from fedstake.errors import FedstakeError, InputError
from mechanisms.plugin import PluginError
from sim.registries import protocols
from tests.conftest import TINY

ROOT = Path(__file__).parents[2]
HEAVY = {
    *("torch", "mesa", "networkx", "simpy", "sklearn", "optuna", "seaborn", "matplotlib"),
    *("pandas", "pyarrow", "duckdb", "scipy", "distributed", "substrateinterface"),
    *("pyarrow.compute", "pyarrow.dataset", "scipy.stats"),
}
GAMES = {f"sim.protocols.{name}.protocol" for name in protocols.names()}
"""Each builds the tables of its keys: a command imports those that its scenario names."""


def test_a_command_is_one_file(tmp_path, monkeypatch):
    (tmp_path / "greet.py").write_text(
        "def greet():\n    '''Say hello.'''\n    print('hello')\n\n"
        "def register(app):\n    app.command()(greet)\n"
    )
    monkeypatch.setattr(commands, "__path__", [*commands.__path__, str(tmp_path)])
    fresh = typer.Typer()
    commands.register_all(fresh)
    assert "hello" in CliRunner().invoke(fresh, ["greet"]).output
    monkeypatch.delitem(sys.modules, "experiments.commands.greet")


def test_every_file_is_a_command():
    files = {p.stem for p in Path(commands.__file__).parent.glob("[a-z]*.py")}
    names = {c.name or c.callback.__name__ for c in app.registered_commands}
    assert files == names | {group.name for group in app.registered_groups}


def imported(*commands, watched=HEAVY):
    """The modules, of those watched, that commands import one after another in a fresh process."""
    code = (
        "import json, sys\n"
        "from typer.testing import CliRunner\n"
        "from experiments.cli import app\n"
        "heavy, commands = json.loads(sys.argv[1])\n"
        "for words in commands:\n"
        "    done = CliRunner().invoke(app, words)\n"
        "    assert done.exit_code == 0, (words, done.output)\n"
        "    print(json.dumps(sorted(set(heavy) & set(sys.modules))))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, json.dumps([sorted(watched), commands])],
        cwd=ROOT,
        env=os.environ,
        check=True,
        capture_output=True,
        text=True,
    )
    return [set(json.loads(line)) for line in done.stdout.splitlines()]


@pytest.mark.slow
def test_help_and_lists_import_nothing_that_takes_time():
    helps = [["--help"], *([name, "--help"] for name in ("run", "report", "compare", "sweep"))]
    lists = [["list", kind] for kind in [*listed(), "scenarios"]]
    found = imported(*helps, *lists)
    assert found[: len(helps)] == [set()] * len(helps)
    assert found[len(helps) :] == [{"pyarrow"}] * len(lists), "tables are declared in its types"


@pytest.mark.slow
def test_a_finished_run_is_printed_without_what_plays_runs(tiny, tmp_path):
    file, place = tmp_path / "tiny.toml", str(tmp_path / "run")
    file.write_text(dumps(tiny()))
    run(tiny(), place)
    again = ["run", str(file), "--out", place]
    assert imported(again, watched=HEAVY | GAMES) == [{"pyarrow", "sim.protocols.vbfl.protocol"}]


@pytest.mark.slow
def test_a_finished_sweep_is_compared_without_what_plays_runs(tmp_path):
    lazy = {"count": 2, "worker": "free-ride-zero"}
    attack = {"nobody": {"adversaries": []}, "lazy": {"adversaries": [lazy]}}
    spec = {
        "name": "s",
        "scenario": "vbfl",
        "set": {**TINY, "rounds": 1},
        "scorecard": {"mechanism": "payout.mechanism", "adversary": "attack"},
        "design": [{"factors": {"payout.mechanism": ["vbfl", "flat"], "attack": attack}}],
    }
    place = str(sweep(spec, tmp_path / "s", workers=1).folder)
    (found,) = imported(["compare", place], watched=HEAVY | GAMES)
    assert found <= {
        *("pyarrow", "pyarrow.compute", "pandas", "duckdb", "scipy", "sim.protocols.vbfl.protocol"),
    }


def test_list_alone_prints_the_kinds_and_each_can_be_listed():
    printed = CliRunner().invoke(app, ["list"]).output
    kinds = [*listed(), "scenarios"]
    assert {"mechanisms", "behaviours", "protocols"} <= set(kinds)
    assert [kind for kind in kinds if kind not in printed] == []
    for kind in kinds:
        done = CliRunner().invoke(app, ["list", kind])
        assert done.exit_code == 0
        assert done.output
        wide = [line for line in done.output.splitlines() if len(line) > 80]
        assert [line for line in wide if " " in line.strip()] == [], (
            "it is folded without a terminal"
        )
    shown = CliRunner().invoke(app, ["list", "--help"]).output
    assert "aggregators" not in shown, "the list of kinds is nowhere written by hand"


class OwnError(FedstakeError):
    """As a plug-in may define it."""

    exit_code = 7


@pytest.mark.parametrize(
    ("error", "code", "line"),
    [
        (OwnError("mine"), 7, "mine"),
        (InputError("no"), 2, "no"),
        (ScenarioError("list", "kind", "x", "known: y"), 2, "list: kind = 'x': known: y"),
        (PluginError("too small", "rate", 0), 2, "scenario.toml: too small"),
        (StoppedError("worker died"), 1, "worker died"),
        (PlanError("too long"), 2, "too long"),
        (BridgeError("silent"), 1, "silent"),
        (FileNotFoundError(2, "No such file", "x.toml"), 1, "x.toml: No such file"),
        (KeyError("k"), 1, "the run failed: KeyError: 'k' (--debug shows where)"),
    ],
)
def test_an_error_is_one_line_with_its_exit_code(error, code, line, capsys):
    with pytest.raises(typer.Exit) as ended, one_line_errors(False, "scenario.toml"):
        raise error
    assert ended.value.exit_code == code
    assert capsys.readouterr().err == f"fedstake: {line}\n"


def test_one_adversary_is_not_called_adversaries():
    assert [_adversaries(count) for count in (0, 1, 2)] == [
        "0 adversaries", "1 adversary", "2 adversaries",
    ]  # fmt: skip
