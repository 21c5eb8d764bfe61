"""Errors of ours survive pickling and are made again from their arguments."""

import inspect
import pickle
import pkgutil
from importlib import import_module

import pytest

import agents
import chain_bridge
import experiments
import fedstake
import mechanisms
import sim
from experiments.conformance.checking import CheckError, Failure
from fedstake.errors import FedstakeError
from mechanisms.payouts.flat import Flat
from sim.world import World

HOUSE = (fedstake, mechanisms, agents, sim, chain_bridge, experiments)


def classes(root=FedstakeError):
    """Return every class of errors that the house defines."""
    for package in HOUSE:
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            import_module(module.name)
    found, waiting = {root}, [root]
    while waiting:
        new = set(waiting.pop().__subclasses__()) - found
        found |= new
        waiting += new
    names = tuple(f"{package.__name__}." for package in HOUSE)
    return sorted((c for c in found if c.__module__.startswith(names)), key=lambda c: c.__name__)


def made(cls):
    """Return an error whose arguments are all different."""
    if cls is CheckError:
        return cls(Flat, "mechanism", [Failure("payments", "wrong", ValueError("x"))], 5)
    if cls.__init__ in (Exception.__init__, ValueError.__init__, RuntimeError.__init__):
        return cls("what is wrong")
    parameters = list(inspect.signature(cls).parameters.values())
    return cls(*(f"{parameter.name}!" for parameter in parameters))


@pytest.mark.parametrize("cls", classes(), ids=lambda cls: cls.__name__)
def test_an_error_is_made_again_from_its_arguments(cls):
    error = made(cls)
    for again in (pickle.loads(pickle.dumps(error)), type(error)(*error.args)):
        assert type(again) is cls
        assert str(again) == str(error)
        if cls is not CheckError:  # its failures hold exceptions, which equal nothing else
            assert again.args == error.args
            assert vars(again) == vars(error)


def test_all_exceptions_of_the_house_are_errors_of_ours():
    found = {c for c in classes(Exception) if not issubclass(c, FedstakeError | Warning)}
    assert not {c.__name__ for c in found if c.__module__.startswith(("sim.", "mechanisms."))}


def test_a_price_of_identities_without_rewards_is_played(tiny):
    scenario = tiny(
        "coordinator",
        payout={"mechanism": "none", "parts": [{"part": "identity-cost"}]},
        payout__initial_balance=5_000,
    )
    assert list(World(scenario).run()) == [1, 2, 3]
