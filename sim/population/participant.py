"""A participant: one Mesa agent whose role changes every round and whose behaviour does not."""

from __future__ import annotations

from enum import StrEnum
from typing import Any

import mesa

from sim.clock import Clock
from sim.money.ledger import device_account
from sim.population.groups import Membership
from sim.population.learners import Learners


class Participant(mesa.Agent):
    """A participant of a run.

    `device` is its number 0..n-1, `group` its adversary group or "honest". `role` is what
    it does in the present round, None where it has no part in it.
    """

    def __init__(
        self,
        model: mesa.Model,
        device: int,
        own: Membership,
        honest: Membership,
        clock: Clock,
        learners: Learners,
    ) -> None:
        super().__init__(model)
        self.device = device
        self.account = device_account(device)
        self.group = own.group
        self.role: StrEnum | None = None
        self._own, self._honest = own, honest
        self._clock, self._learners = clock, learners

    @property
    def active(self) -> bool:
        """Whether it does what its group does in the present round; a sleeper may not yet."""
        return self._own.active(self._clock.round)

    @property
    def adversary(self) -> bool:
        """Whether it belongs to a group that deviates; a game may have groups that do not."""
        settings = self._own.settings
        return settings is not None and settings.deviating

    def behaviour(self, role: str) -> Any:
        """Return its behaviour in a role in the present round; learners have chosen theirs."""
        if not self.active:
            return self._honest.behaviours[role]
        choice = self._learners.choice.get(self.device)
        if choice is not None and role in self._own.strategies[choice]:
            return self._own.strategies[choice][role]
        return self._own.behaviours[role]

    @property
    def strategy(self) -> str:
        """Name of its behaviour in the protocol's first role; its group where there are none."""
        role = next(iter(self._own.behaviours), None)
        return self.group if role is None else self.behaviour(role).name
