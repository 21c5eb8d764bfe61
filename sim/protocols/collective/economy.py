"""What the stages of a round share: services, pools, the collective's members, the master model."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from enum import StrEnum
from typing import Any

from sim.chain.forks import ServerChain
from sim.protocols.collective.funding import Funded, Purse
from sim.protocols.collective.settings import CollectiveScenario
from sim.training.game import TrainingGame
from sim.training.release import supersede


class PartyRole(StrEnum):
    """What a device does in a round beside contributing."""

    ENGINEER = "engineer"
    CLIENT = "client"


class Economy:
    """The economy of one run.

    Args:
        game: the services of the run.
        scenario: its keys.
    """

    def __init__(self, game: TrainingGame, scenario: CollectiveScenario) -> None:
        chain, rule = game.forks, scenario.base_rule()
        assert isinstance(chain, ServerChain)
        assert isinstance(rule, Funded)
        self.game, self.scenario, self.chain = game, scenario, chain
        self.purse = Purse(game.treasury, rule, scenario.pools.amounts, scenario.creator)
        self.members = (
            set(range(scenario.approval.members)) if scenario.parties.engineers else set()
        )
        self.master_id = self._identify()
        self.fees = {j.name: j.fee for j in scenario.licences.jurisdictions}
        self.fee, self.charge = scenario.licences.fee, scenario.engineers.charge
        self.left = self.purse.left(game.locked())

    def _identify(self) -> str:
        """Return the globally unique id of the master model: who made what, on which terms."""
        first = self.game.bench.models.digest(self.chain.head.model)
        terms = self.scenario.model_copy(update={"rounds": 1}).canonical()
        made = f"{self.scenario.creator}\n{terms}\n{first.hex()}"
        return hashlib.sha256(made.encode()).hexdigest()

    @property
    def now_s(self) -> float:
        """The simulated time."""
        return self.game.clock.time_s

    def online(self, party: str) -> list[int]:
        """Return the devices of a party that are there now."""
        devices = self.scenario.parties.devices[party]
        in_play = self.game.population.identities.in_play
        return [d for d in devices if in_play(d) and self.game.online(d, self.now_s)]

    def download(self, device: int) -> None:
        """Hand the master model over to a device."""
        self.chain.adopt(device, self.chain.head, self.now_s)

    def earn(self, payer: int, amount: int, reason: str) -> None:
        """Take what a device pays for the model."""
        self.purse.earn(payer, amount, reason, self.scenario.pools.top_up)

    def replace_master(self, model: int, author: int) -> None:
        """Make a stored model the master model."""
        game = self.game
        supersede(
            self.chain,
            game.bench,
            self.scenario.versions,
            model,
            author=author,
            round=game.clock.round,
        )

    # --- checkpoints --------------------------------------------------------------------------

    def to_state(self) -> dict[str, Any]:
        """Return JSON values at a round boundary."""
        return {
            "members": sorted(self.members),
            "left": self.left,
            "fees": self.fees,
            "fee": self.fee,
            "charge": self.charge,
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Continue from `to_state`."""
        self.members, self.left = set(state["members"]), dict(state["left"])
        self.fees, self.fee, self.charge = dict(state["fees"]), state["fee"], state["charge"]
