"""Plug-ins outside the repository: by path, and by entry point of an installed distribution."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from agents import registries as behaviours
from experiments import load_scenario, run
from experiments.conformance import PayoutConformance, WorkerConformance
from experiments.kinds import all_kinds
from fedstake.errors import InputError
from mechanisms import registries as rules
from mechanisms.plugin import PluginError
from sim.keys import SettingError
from sim.world import World

PLUGINS = Path(__file__).parent / "plugins"
GENEROUS = f"{PLUGINS / 'generous.py'}:Generous"
SIGN_FLIP = f"{PLUGINS / 'sign_flip.py'}:SignFlip"


class TestGenerous(PayoutConformance):
    plugin = rules.payouts.get(GENEROUS)
    configurations = [{}, {"amount": 3}]  # noqa: RUF012


class TestSignFlip(WorkerConformance):
    plugin = behaviours.workers.get(SIGN_FLIP)


def test_a_scenario_plays_them(tiny, tmp_path):
    scenario = tiny(
        payout__mechanism=GENEROUS,
        payout__params={"amount": 11},
        adversaries__0__count=2,
        adversaries__0__worker=SIGN_FLIP,
    )
    result = run(scenario, tmp_path / "run")
    assert set(result.journal["reason"]) == {"reward.flat"}
    assert set(result.journal["amount"]) == {11}


def test_the_source_of_a_plugin_is_part_of_the_identity(tiny, tmp_path):
    copy = tmp_path / "generous.py"
    copy.write_text((PLUGINS / "generous.py").read_text())
    scenario = tiny(payout__mechanism=f"{copy}:Generous")
    before = scenario.run_id()
    copy.write_text(copy.read_text().replace("param(5", "param(6"))
    assert scenario.run_id() != before


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("nowhere.py:X", "no such file"),
        (f"{PLUGINS / 'generous.py'}:Nothing", "defines no Nothing"),
        (f"{PLUGINS / 'sign_flip.py'}:SignFlip", "is not a PayoutRule"),
    ],
)
def test_wrong_paths_are_explained(name, message):
    with pytest.raises(PluginError, match=message):
        rules.payouts.get(name)


def test_entry_point_of_an_installed_distribution(tmp_path):
    """A real dist-info on the path, read by importlib.metadata in a fresh interpreter."""
    (tmp_path / "their_rules.py").write_text((PLUGINS / "generous.py").read_text())
    info = tmp_path / "their_rules-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: their-rules\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        "[fedstake.mechanisms]\ngenerous = their_rules:Generous\n"
    )
    code = (
        "from mechanisms.registries import payouts; from experiments import load_scenario;"
        "print(payouts.names());"
        "print(load_scenario('digits-quick', {'payout.mechanism': 'generous'}).payout.mechanism)"
    )
    root = Path(__file__).parents[1]
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={"PYTHONPATH": f"{root}:{tmp_path}", "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert "'generous'" in done.stdout
    assert done.stdout.strip().endswith("generous")


def test_overriding_a_rule_drops_the_parameters_of_the_old_one(tiny):
    scenario = load_scenario("digits-quick", {"payout.mechanism": GENEROUS})
    assert scenario.payout.params == {"amount": 5}


def test_an_edited_file_is_another_plug_in(tiny, tmp_path):
    path = tmp_path / "rule.py"
    source = (PLUGINS / "generous.py").read_text()
    path.write_text(source)
    first = tiny(payout__mechanism=f"{path}:Generous", rounds=1)
    before, paid = first.run_id(), {e.amount for e in played(first)}
    path.write_text(source.replace("self.params.amount, ", "self.params.amount + 1, "))
    second = tiny(payout__mechanism=f"{path}:Generous", rounds=1)
    assert second.run_id() != before
    assert {e.amount for e in played(second)} == {a + 1 for a in paid}


RULE = "from mechanisms.payouts.flat import Flat\nclass Own(Flat):\n    name = '%s'\n"


def test_no_compiled_file_hides_an_edit_of_the_same_second(tmp_path, monkeypatch):
    """Python takes a compiled file for that of a source with the same second and the same size."""
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    file, at = tmp_path / "own.py", (1_700_000_000, 1_700_000_000)
    for name in ("one", "two"):
        file.write_text(RULE % name)
        os.utime(file, at)
        assert rules.payouts.get(f"{file}:Own").name == name
    assert sorted(path.name for path in tmp_path.iterdir()) == ["own.py"]
    assert not sys.dont_write_bytecode


@pytest.mark.parametrize("helper", ["helper.py", "helper/__init__.py", "helper/inner.py"])
def test_an_edited_module_beside_a_plug_in_is_another_plug_in(tiny, tmp_path, monkeypatch, helper):
    monkeypatch.syspath_prepend(str(tmp_path))
    source = (PLUGINS / "generous.py").read_text()
    amount = {"helper.py": "helper", "helper/__init__.py": "helper"}.get(helper, "helper.inner")
    imported = f"from {amount} import MORE\n"
    paying = source.replace("self.params.amount, ", "self.params.amount + MORE, ")
    head = "from dataclasses import dataclass\n"
    (tmp_path / "rule.py").write_text(paying.replace(head, f"{head}{imported}"))
    module = tmp_path / helper
    module.parent.mkdir(exist_ok=True)
    module.write_text("MORE = 1\n")
    (module.parent / "unrelated.py").write_text("x = 1\n")

    def rule():
        return tiny(payout__mechanism=f"{tmp_path / 'rule.py'}:Generous", rounds=1)

    before, paid = rule().run_id(), {e.amount for e in played(rule())}
    (module.parent / "unrelated.py").write_text("x = 2\n")
    assert rule().run_id() == before, "it imports nothing of that file"
    module.write_text("MORE = 9\n")
    assert rule().run_id() != before
    assert {e.amount for e in played(rule())} == {a + 8 for a in paid}
    for name in [name for name in sys.modules if name.partition(".")[0] == "helper"]:
        del sys.modules[name]


def played(scenario):
    world = World(scenario)
    world.step()
    world.close()
    return world.kernel.treasury.ledger.journal


def test_a_model_that_does_not_fit_the_data_is_a_wrong_setting(tiny, tmp_path):
    path = tmp_path / "net.py"
    path.write_text(
        "from torch import nn\n"
        "from fedstake import ModelSource\n"
        "class Net(ModelSource):\n"
        "    name = 'net'\n"
        "    summary = reference = 'test'\n"
        "    def build(self, shape, classes):\n"
        "        return nn.Linear(shape[0] + 1, classes)\n"
    )
    with pytest.raises(SettingError, match="cannot take samples of shape"):
        World(tiny(model__name=f"{path}:Net"))


def test_entry_points_are_read_again_only_where_the_path_has_changed(tmp_path, monkeypatch):
    def install(name):
        info = tmp_path / f"{name}-1.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1\n")
        (info / "entry_points.txt").write_text(f"[fedstake.mechanisms]\n{name} = nowhere:X\n")

    monkeypatch.syspath_prepend(str(tmp_path))
    before = rules.payouts.names()
    install("first")
    assert set(rules.payouts.names()) - set(before) == {"first"}
    install("second")
    assert set(rules.payouts.names()) - set(before) == {"first", "second"}
    reread = []
    monkeypatch.setattr("mechanisms.registry.entry_points", lambda **asked: reread.append(asked))
    rules.payouts.names()
    assert not reread


OWN = {
    "sets no params": lambda self, params: None,
    "must take params, as __init__(self, params)": lambda self: None,
}


@pytest.mark.parametrize("message", OWN)
def test_an_init_that_leaves_out_params_is_told_for_every_kind(message):
    """It is told where a plug-in is made, with the remedy, not where params are first read."""
    for kind in all_kinds():
        own = type("Own", (kind.base,), {"__init__": OWN[message]})
        own.__abstractmethods__ = frozenset()
        with pytest.raises(InputError) as error:
            own.configure({})
        said = str(error.value)
        assert f"Own.__init__: {message}; call super().__init__(params) in it" in said, kind.kind
        assert said.startswith("test_outside_plugins.py:")


def test_an_init_that_leaves_out_params_names_the_key(tiny, tmp_path):
    file = tmp_path / "own.py"
    text = (PLUGINS / "generous.py").read_text()
    file.write_text(
        f"{text}\n\nclass Own(Generous):\n    def __init__(self, params):\n        self.x = 1\n"
    )
    wrong = r"payout\.mechanism = .*: own\.py:\d+ in Own\.__init__: sets no params"
    with pytest.raises(InputError, match=wrong):
        tiny(payout__mechanism=f"{file}:Own")
