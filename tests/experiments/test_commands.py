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
from experiments import commands
from experiments.cli import app
from experiments.kinds import listed
from experiments.loader import ScenarioError
from experiments.pool import StoppedError
from experiments.terminal import one_line_errors
from fedstake.errors import FedstakeError, InputError
from mechanisms.plugin import PluginError

ROOT = Path(__file__).parents[2]
HEAVY = {"torch", "pandas", "matplotlib", "pyarrow", "duckdb", "scipy", "sklearn"}


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


def test_help_and_lists_import_nothing_that_takes_time():
    code = (
        "import json, sys\n"
        "from typer.testing import CliRunner\n"
        "from experiments.cli import app\n"
        "from experiments.kinds import listed\n"
        "def check(words, heavy):\n"
        "    assert CliRunner().invoke(app, words).exit_code == 0, words\n"
        "    assert not heavy & set(sys.modules), (words, heavy & set(sys.modules))\n"
        "heavy = set(json.loads(sys.argv[1]))\n"
        "check(['--help'], heavy)\n"
        "for kind in [*listed(), 'scenarios']:\n"
        "    check(['list', kind], heavy - {'pyarrow'})  # tables are declared in its types\n"
    )
    subprocess.run(
        [sys.executable, "-c", code, json.dumps(sorted(HEAVY))],
        cwd=ROOT,
        env=os.environ,
        check=True,
    )


def test_list_alone_prints_the_kinds_and_each_can_be_listed():
    printed = CliRunner().invoke(app, ["list"]).output
    kinds = [*listed(), "scenarios"]
    assert {"mechanisms", "behaviours", "protocols"} <= set(kinds)
    assert [kind for kind in kinds if kind not in printed] == []
    for kind in kinds:
        done = CliRunner().invoke(app, ["list", kind])
        assert done.exit_code == 0
        assert done.output
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
