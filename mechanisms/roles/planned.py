"""Roles without chance: fixed, in turn, or computed from the last block."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from mechanisms.plugin import PluginError, param
from mechanisms.roles.base import RoleRule
from mechanisms.vocabulary import Role, RoleObservation


class Fixed(RoleRule):
    """Validators and miners fixed by number.

    An ineligible one leaves its seat empty. A role that nobody would have goes to the first device
    that can be spared.
    """

    name = "fixed"
    summary = "appointed validators and miners, the rest work"
    reference = "permissioned consortium"
    examples = ({}, {"validators": [101, 104], "miners": [100, 102]})

    @dataclass(frozen=True)
    class Params:
        validators: tuple[int, ...] = param(
            (0,), help="devices that always validate", ge=0, devices=True
        )
        miners: tuple[int, ...] = param(
            (1,), help="devices that always mine; everybody else works", ge=0, devices=True
        )

        def __post_init__(self) -> None:
            if not self.validators or not self.miners or set(self.validators) & set(self.miners):
                raise PluginError(
                    "give at least one of each, and no device twice",
                    "validators",
                    list(self.validators),
                )

    params: Params

    def minimum(self) -> tuple[int, int, int]:
        return 1, 1, 1

    def assign(self, seen: RoleObservation) -> dict[int, Role]:
        devices = self.enough(seen.eligible)
        roles = dict.fromkeys(devices, Role.WORKER)
        roles |= {d: Role.VALIDATOR for d in self.params.validators if d in roles}
        roles |= {d: Role.MINER for d in self.params.miners if d in roles}
        for role in (Role.VALIDATOR, Role.MINER, Role.WORKER):
            if role not in roles.values():
                spare = [d for d in devices if list(roles.values()).count(roles[d]) > 1]
                roles[spare[0]] = role
        return roles


class _Seats(RoleRule):
    """Seats of validators and miners, filled in an order of the devices."""

    @dataclass(frozen=True)
    class Params:
        validators: int = param(5, help="validators of a round", ge=1)
        miners: int = param(3, help="miners of a round; everybody else works", ge=1)

    params: Params

    def minimum(self) -> tuple[int, int, int]:
        return 1, self.params.validators, self.params.miners

    def seated(self, order: list[int]) -> dict[int, Role]:
        """Return the roles of devices in this order: validators, then miners, then workers."""
        v, m = self.params.validators, self.params.miners
        drawn = [Role.VALIDATOR] * v + [Role.MINER] * m + [Role.WORKER] * (len(order) - v - m)
        return dict(zip(order, drawn, strict=True))


class RoundRobin(_Seats):
    """A window of validators and miners that moves by its own length every round.

    After n rounds all n devices have served equally often.
    """

    name = "round-robin"
    summary = "validators and miners in turn"
    reference = "textbook"
    examples = ({}, {"validators": 1, "miners": 1})

    def assign(self, seen: RoleObservation) -> dict[int, Role]:
        devices = self.enough(seen.eligible)
        start = (seen.round - 1) * (self.params.validators + self.params.miners) % len(devices)
        return self.seated([*devices[start:], *devices[:start]])


class Verifiable(_Seats):
    """Devices in the order of SHA-256(previous block's hash, round, number).

    Anybody can check this order and nobody can choose it.
    """

    name = "verifiable"
    summary = "drawn by the hash of the previous block"
    reference = "sortition by hash: Gilad et al. 2017 (Algorand), without private keys"
    examples = ({}, {"validators": 1, "miners": 1})

    def assign(self, seen: RoleObservation) -> dict[int, Role]:
        def ticket(device: int) -> bytes:
            return hashlib.sha256(seen.previous_hash + f"{seen.round}:{device}".encode()).digest()

        return self.seated(sorted(self.enough(seen.eligible), key=ticket))
