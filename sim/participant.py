"""A device: one Mesa agent whose role changes every round and whose behaviour does not."""

from __future__ import annotations

from typing import TYPE_CHECKING

import mesa

from mechanisms.vocabulary import Role
from sim.chain.state import ChainState
from sim.ledger import device_account

if TYPE_CHECKING:
    from agents.miners.base import MinerBehaviour
    from agents.validators.base import ValidatorBehaviour
    from agents.workers.base import WorkerBehaviour
    from sim.world import World

HONEST = "honest"


class Participant(mesa.Agent):
    """`device` is its number 0..n-1, `group` its adversary group or "honest", `state` what its chain says."""

    def __init__(
        self,
        world: World,
        device: int,
        group: str,
        worker: WorkerBehaviour,
        validator: ValidatorBehaviour,
        miner: MinerBehaviour,
        state: ChainState,
    ) -> None:
        super().__init__(world)
        self.device = device
        self.account = device_account(device)
        self.group = group
        self.worker = worker
        self.validator = validator
        self.miner = miner
        self.state = state
        self.role: Role | None = None

    @property
    def adversary(self) -> bool:
        """Whether it belongs to an adversary group."""
        return self.group != HONEST
