"""One line says what was meant: another command, another key, a class of the file."""

import pytest
from typer.testing import CliRunner

from experiments import load_scenario
from experiments.cli import app
from experiments.loader import label
from experiments.sweeps.plan import load_spec
from sim.keys import dotted_keys
from sim.scenario import scenario_class

RULES = """
from fedstake import PayoutRule, Settlement
class Quadratic(PayoutRule):
    name = summary = reference = "quadratic"
    def settle(self, block):
        return Settlement()
class Linear(Quadratic):
    name = "linear"
class Helper:
    pass
"""
RULE = "run digits-quick --set payout.mechanism"


@pytest.fixture
def here(tmp_path, monkeypatch):
    """Return a folder with a scenario, a sweep and a file of rules; it is the current one."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "door.toml").write_text('extends = "digits-quick"\nrounds = 1\n')
    (tmp_path / "lab.toml").write_text(
        'scenario = "digits-quick"\nseeds = 2\n[[design]]\nfactors = { "training.epoch" = [1] }\n'
    )
    (tmp_path / "quad.py").write_text(RULES)
    (tmp_path / "none.py").write_text("class Helper:\n    pass\n")
    return tmp_path


def refused(*command):
    """Return the one line of a command that is refused."""
    done = CliRunner().invoke(app, list(command))
    assert done.exit_code == 2, done.output
    line = done.output.strip()
    assert "\n" not in line
    return line


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("run lab.toml", "lab.toml: is a sweep; fedstake sweep lab.toml"),
        ("sweep door.toml", "door.toml: is a scenario; fedstake run door.toml plays it"),
        ("run digits-quick --set epochs=3", "epochs = 3: unknown key; did you mean training."),
        ("run digits-quick --set epoch=3", "did you mean training.epochs?"),
        ("run digits-quick --set payout.epochs=3", "did you mean training.epochs?"),
        ("run digits-quick --set training.epoch=3", "did you mean 'epochs'?"),
        ("run digits-quick --set counts=1,1,1", "did you mean roles.params.counts?"),
        ("run digits-quick --set count=3", "did you mean adversaries.0.count?"),
        ("run digits-quick --set devices=10", "at least 20, as roles.params.counts = '12,5,3'"),
        ("run digits-quick --set adversaries.0.count=25", "= 25: there are only 20 devices"),
        (f"{RULE}=quad.py", "write quad.py:Quadratic or quad.py:Linear"),
        (f"{RULE}=quad.py:", "write quad.py:Quadratic or"),
        (f"{RULE}=quad.py:Quad", "defines no Quad; write quad.py:Q"),
        (f"{RULE}=none.py", "there is no PayoutRule in it"),
        (f"{RULE}=gone.py", "no such file"),
        ("list attacks", "did you mean behaviours?"),
        ("list games", "did you mean protocols?"),
        ("list mechanism", "did you mean 'mechanisms'?"),
    ],
)  # fmt: skip
def test_what_was_meant(here, command, words):
    line = refused(*command.split())
    # A file is named in full where it was found.
    assert words in line.replace(f"{here}/", "")


def test_a_wrong_key_of_a_sweep_is_said_once(here):
    line = refused("sweep", "lab.toml")
    assert line.count("training.epoch = 1") == 1
    assert "did you mean 'epochs'?" in line


def test_several_groups_are_counted_together(here):
    groups = '[{name = "a", count = 15}, {name = "b", count = 6}]'
    line = refused("run", "digits-quick", "--set", f"adversaries={groups}")
    assert "adversaries.1.count = 6: all groups together have 21, and there are only 20" in line


def test_runs_and_sweeps_are_named_after_their_file(here):
    assert load_scenario("door.toml").name == "door"
    assert load_scenario("digits-quick").name == "digits-quick"
    (here / "named.toml").write_text('extends = "door.toml"\nname = "mine"\n')
    (here / "other name.toml").write_text('extends = "named.toml"\n')
    assert load_scenario("named.toml").name == "mine"
    assert load_scenario("other name.toml").name == "other-name"
    assert load_scenario(here / "door.toml", {"name": "given"}).name == "given"
    assert load_spec("lab.toml").name == "lab"
    (here / "…").write_text("")
    assert label(here / "….toml") == "scenario"


def test_all_keys_are_known_with_the_parameters_in_force():
    values = load_scenario("digits-quick").to_dict()
    keys = list(dotted_keys(scenario_class(values), values))
    assert len(keys) == len(set(keys))
    assert {"rounds", "training.epochs", "roles.params.counts", "adversaries.0.count"} <= {*keys}
