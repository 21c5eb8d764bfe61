"""Referenda about numbers of the economy: fees, charges, thresholds, shares, who may buy."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial

from sim.money.ledger import MAX_AMOUNT
from sim.protocols.collective.economy import (
    APPROVAL,
    CHARGE,
    CLIENTS,
    FEE,
    POOL,
    SELLS,
    Economy,
)
from sim.protocols.collective.funding import PAID
from sim.protocols.collective.settings import ROUNDING
from sim.referenda import Parameter, Referenda

MOST = float(MAX_AMOUNT // 2**10)
"""Largest amount that can be proposed: a float holds it to the unit below 2**53."""
BOUNDS = {"needed": (1, 10_000, True), "above": (0.0, 0.999999, False), "share": (0.0, 1.0, False)}
"""Of parameters of approval rules: least, most, whether they are whole numbers."""


def referenda_of(economy: Economy) -> Referenda:
    """Return the referenda of an economy, in which every device may vote, or every member."""
    game = economy.game
    everybody = range(economy.scenario.devices)
    members_only = economy.scenario.referenda.electorate == "members"
    return Referenda(
        economy.scenario.referenda,
        parameters=dict(_parameters(economy)),
        electorate=lambda: economy.members if members_only else everybody,
        population=game.population,
        treasury=game.treasury,
        incidents=game.incidents,
        streams=game.streams,
        clock=game.clock,
        check=partial(_problem, economy.values),
    )


def _problem(values: Mapping[str, float], changes: Mapping[str, float]) -> str:
    """Return why changes cannot be in force together, in words; "" when they can."""
    names = [f"{POOL}{party}" for party in PAID]
    before = sum(values[name] for name in names)
    after = sum(changes.get(name, values[name]) for name in names)
    if abs(after - before) <= ROUNDING:
        return ""
    return (
        f"{' + '.join(names)} must still be {before:g} of the stake, not {after:g}: the pool of "
        "contributors is in the hands of its payout rule"
    )


def _parameters(economy: Economy) -> Iterator[tuple[str, Parameter]]:
    """Yield by name what referenda can change."""
    for name in economy.values:
        least, most, whole = _bounds(name)
        yield name, _parameter(economy, name, least, most, whole)


def _bounds(name: str) -> tuple[float, float, bool]:
    """Return the least and the largest value of a number, and whether it is whole."""
    if name.startswith(POOL):
        return 0.0, 1.0, False
    if name.startswith((SELLS, CLIENTS)):
        return 0, 1, True
    if name.startswith(APPROVAL):
        return BOUNDS[name.removeprefix(APPROVAL)]
    assert name.startswith((FEE, CHARGE))
    return 0, MOST, True


def _parameter(economy: Economy, name: str, least: float, most: float, whole: bool) -> Parameter:
    values, party = economy.values, name.removeprefix(POOL)
    moves = name.startswith(POOL) and party in PAID
    change = partial(economy.redivide, party) if moves else partial(values.__setitem__, name)
    return Parameter(
        get=lambda: values[name],
        set=change,
        least=least,
        most=most,
        whole=whole,
    )
