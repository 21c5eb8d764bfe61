"""Parameters of plug-ins: a class inside the plug-in, typed, with examples that can be built."""

import dataclasses
import pickle
import subprocess
import sys
from pathlib import Path
from typing import get_type_hints

import pytest

from agents import registries as behaviours
from fedstake.errors import InputError
from mechanisms import registries as rules
from mechanisms.aggregators.krum import Krum, MultiKrum
from mechanisms.parts.consent import Consent, ConsentLedger
from mechanisms.payouts.coordinator import Coordinator
from mechanisms.plugin import NoParams, PluginError
from mechanisms.registry import Registry
from sim.data import datasets
from sim.data.sources.base import DatasetSource
from sim.learning import models

REGISTRIES = [*vars(rules).values(), *vars(behaviours).values(), datasets, models]
SHIPPED = [plugin for r in REGISTRIES if isinstance(r, Registry) for plugin in r.all()]

MISSPELT = """
from dataclasses import dataclass

from mechanisms.payouts.base import PayoutRule
from mechanisms.plugin import param
from mechanisms.vocabulary import BlockObservation, Payment, Settlement


class Fixed(PayoutRule):
    @dataclass(frozen=True)
    class Params:
        amount: int = param(1, help="to the miner")

    params: Params

    def settle(self, seen: BlockObservation) -> Settlement:
        return Settlement((Payment(0, self.params.amuont, "reward.flat"),))
"""


@pytest.mark.slow
def test_mypy_refuses_a_misspelt_parameter(tmp_path):
    pytest.importorskip("mypy")
    file = tmp_path / "fixed.py"
    file.write_text(MISSPELT)
    # Without the stubs of NumPy and others this takes a second; errors that follow are not shown.
    options = ["--no-site-packages", "--ignore-missing-imports", "--follow-imports=silent"]
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--config-file=", "--cache-dir=/dev/null", *options, file],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1, done.stdout + done.stderr
    error, summary = done.stdout.strip().splitlines()
    assert '"Params" has no attribute "amuont"' in error
    assert "Found 1 error" in summary


@pytest.mark.parametrize("plugin", SHIPPED, ids=lambda plugin: plugin.__qualname__)
def test_every_shipped_plugin_declares_the_type_of_its_parameters(plugin):
    assert plugin.Params is NoParams or get_type_hints(plugin)["params"] is plugin.Params


@pytest.mark.parametrize("plugin", SHIPPED, ids=lambda plugin: plugin.__qualname__)
def test_the_first_example_is_the_default_and_all_can_be_built(plugin):
    needed = [f for f in dataclasses.fields(plugin.Params) if f.default is dataclasses.MISSING]
    large = issubclass(plugin, DatasetSource)
    assert plugin.examples[0] == {} or needed or large
    for values in plugin.examples:
        made = plugin.configure(values)
        assert type(made.params) is plugin.Params
        assert pickle.loads(pickle.dumps(made.params)) == made.params
        assert dataclasses.asdict(made.params).keys() >= values.keys()


def test_parameters_are_inherited_in_their_order():
    names = [f.name for f in dataclasses.fields(MultiKrum.Params)]
    assert names == ["f", "neighbours", "keep"]
    assert issubclass(MultiKrum.Params, Krum.Params)
    assert [f.name for f in dataclasses.fields(Coordinator.Params)][:4] == [
        "pot",
        "by",
        "fee",
        "stake",
    ]
    assert Coordinator.Params().pot == 1_000_000


def test_a_list_of_tables_becomes_dataclasses():
    ledger = ConsentLedger.configure({"ledger": [{"devices": [3], "until_round": 2}]})
    assert ledger.params.ledger == (Consent(devices=(3,), until_round=2),)
    with pytest.raises(PluginError, match="must be a table") as refused:
        ConsentLedger.configure({"ledger": [3]})
    assert refused.value.key == "ledger.0"


def test_an_error_of_a_plugin_is_one_of_the_input():
    assert issubclass(PluginError, InputError)
    assert issubclass(PluginError, ValueError)
