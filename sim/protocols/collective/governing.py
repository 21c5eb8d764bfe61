"""Referenda about numbers of the economy: fees, charges, thresholds, shares, who may buy."""

from __future__ import annotations

from collections.abc import Iterator

from sim.money.ledger import MAX_AMOUNT
from sim.protocols.collective.economy import (
    APPROVAL,
    CHARGE,
    FEE,
    SELLS,
    TOP_UP,
    Economy,
)
from sim.referenda import Parameter, Referenda

MOST = float(MAX_AMOUNT // 2**10)
"""Largest amount that can be proposed: a float holds it to the unit below 2**53."""
BOUNDS = {"needed": (1, 10_000, True), "above": (0.0, 0.999999, False), "share": (0.0, 1.0, False)}
"""Of parameters of approval rules: least, most, whether they are whole numbers."""


def referenda_of(economy: Economy) -> Referenda:
    """Return the referenda of an economy, in which every device may vote."""
    game = economy.game
    return Referenda(
        economy.scenario.referenda,
        parameters=dict(_parameters(economy)),
        electorate=lambda: range(economy.scenario.devices),
        population=game.population,
        treasury=game.treasury,
        incidents=game.incidents,
        streams=game.streams,
        clock=game.clock,
    )


def _parameters(economy: Economy) -> Iterator[tuple[str, Parameter]]:
    """Yield by name what referenda can change."""
    for name in economy.values:
        least, most, whole = _bounds(name)
        yield name, _parameter(economy, name, least, most, whole)


def _bounds(name: str) -> tuple[float, float, bool]:
    """Return the least and the largest value of a number, and whether it is whole."""
    if name == TOP_UP:
        return 0.0, 1.0, False
    if name.startswith(SELLS):
        return 0, 1, True
    if name.startswith(APPROVAL):
        return BOUNDS[name.removeprefix(APPROVAL)]
    assert name.startswith((FEE, CHARGE))
    return 0, MOST, True


def _parameter(economy: Economy, name: str, least: float, most: float, whole: bool) -> Parameter:
    values = economy.values
    return Parameter(
        get=lambda: values[name],
        set=lambda value: values.__setitem__(name, value),
        least=least,
        most=most,
        whole=whole,
    )
