"""A device: one Mesa agent whose role changes every round and whose behaviour does not."""

from __future__ import annotations

from typing import TYPE_CHECKING

import mesa

from mechanisms.vocabulary import Role
from sim.chain.state import ChainState
from sim.ledger import device_account
from sim.scenario import HONEST

if TYPE_CHECKING:
    from agents.miners.base import MinerBehaviour
    from agents.validators.base import ValidatorBehaviour
    from agents.workers.base import WorkerBehaviour
    from sim.groups import Membership
    from sim.world import World


class Participant(mesa.Agent):
    """`device` is its number 0..n-1, `group` its adversary group or "honest", `state` what its chain says.

    `previous_model` is the chain's model before the present one. `live_model` stands in for the chain's model where the
    published code's alias is in force (`chain.live_model_alias`).
    """

    def __init__(
        self, world: World, device: int, own: Membership, honest: Membership, state: ChainState
    ) -> None:
        super().__init__(world)
        self.device = device
        self.account = device_account(device)
        self.group = own.group
        self._world, self._own, self._honest = world, own, honest
        self.state = state
        self.live_model: int | None = None
        self.previous_model = state.model
        self.role: Role | None = None

    @property
    def active(self) -> bool:
        """Whether it does what its group does in the present round; a sleeper may not yet."""
        return self._own.active(self._world.round_index)

    @property
    def _present(self) -> Membership:
        return self._own if self.active else self._honest

    @property
    def worker(self) -> WorkerBehaviour:
        """Its behaviour as worker in the present round; a rational device has chosen one."""
        choice = self._world.learners.choice.get(self.device) if self.active else None
        return self._present.worker if choice is None else self._own.strategies[choice]

    @property
    def validator(self) -> ValidatorBehaviour:
        """Its behaviour as validator in the present round."""
        return self._present.validator

    @property
    def miner(self) -> MinerBehaviour:
        """Its behaviour as miner in the present round."""
        return self._present.miner

    @property
    def global_model(self) -> int:
        """Key of its global model in the world's store."""
        return self.state.model if self.live_model is None else self.live_model

    @property
    def adversary(self) -> bool:
        """Whether it belongs to an adversary group."""
        return self.group != HONEST
