"""Roles drawn independently with given probabilities."""

from __future__ import annotations

from dataclasses import dataclass

from mechanisms.plugin import PluginError, param
from mechanisms.roles.base import RoleRule
from mechanisms.vocabulary import Role, RoleObservation


class Uniform(RoleRule):
    """Draws each device's role independently of stake and history, with one device per role."""

    name = "uniform"
    summary = "every device draws a role for itself"
    reference = "DecentralML grant: a random role per communication round"
    stochastic = True
    examples = ({}, {"validator": 0.0, "miner": 1.0})

    @dataclass(frozen=True)
    class Params:
        validator: float = param(1 / 3, help="probability of being a validator", ge=0, le=1)
        miner: float = param(
            1 / 3, help="probability of being a miner; workers are the rest", ge=0, le=1
        )

        def __post_init__(self) -> None:
            if self.validator + self.miner > 1:
                raise PluginError(
                    f"must be at most 1 - validator = {1 - self.validator:g}", "miner", self.miner
                )

    params: Params

    def minimum(self) -> tuple[int, int, int]:
        return 1, 1, 1

    def assign(self, seen: RoleObservation) -> dict[int, Role]:
        devices = self.enough(seen.eligible)
        order = [devices[i] for i in seen.rng.permutation(len(devices))]
        roles = dict(zip(order, (Role.WORKER, Role.VALIDATOR, Role.MINER), strict=False))
        p = self.params
        for device, draw in zip(order[3:], seen.rng.random(len(order) - 3), strict=True):
            if draw < p.validator:
                roles[device] = Role.VALIDATOR
            elif draw < p.validator + p.miner:
                roles[device] = Role.MINER
            else:
                roles[device] = Role.WORKER
        return roles
