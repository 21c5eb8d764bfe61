"""What the stages of a round share: services, pools, the collective's members, the master model."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from enum import StrEnum
from typing import Any

from mechanisms.split import part
from sim.chain.forks import ServerChain
from sim.protocols.collective.funding import PAID, Funded, Purse
from sim.protocols.collective.settings import CLIENT, CollectiveScenario
from sim.training.game import TrainingGame
from sim.training.release import supersede

CHARGE, FEE, SELLS, TOP_UP = "engineers.charge", "licences.fee", "licences.sells", "pools.top_up"
"""Numbers that referenda may change; those of a jurisdiction end in a dot and its name."""
POOL, CLIENTS = "pools.", "clients."
"""Begins the names of the shares of the stake that are pools, and of whether a client may buy."""
APPROVAL = "approval."
"""Begins the names of those that are parameters of the approval rule."""
GOVERNED = ("needed", "above", "share")
"""Parameters of approval rules that referenda may change, where the rule has them."""


class PartyRole(StrEnum):
    """What a device does in a round beside contributing."""

    ENGINEER = "engineer"
    ANNOTATOR = "annotator"
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
        self.values = self._numbers()
        self.left = self.purse.left(game.locked_by_rule())

    def _numbers(self) -> dict[str, float]:
        """Return by name the numbers that referenda may change: those of parties that play."""
        scenario = self.scenario
        values: dict[str, float] = {TOP_UP: scenario.pools.top_up}
        values |= {f"{POOL}{party}": getattr(scenario.pools, party) for party in PAID}
        values |= {f"{CLIENTS}{device}": 1 for device in scenario.parties.devices[CLIENT]}
        if scenario.parties.clients:
            values[SELLS] = 1
            if not scenario.licences.jurisdictions:  # else every client has a fee of its own
                values[FEE] = scenario.licences.fee
            for j in scenario.licences.jurisdictions:
                values |= {f"{FEE}.{j.name}": j.fee, f"{SELLS}.{j.name}": 1}
        if scenario.parties.engineers:
            params = scenario.approval.params
            values[CHARGE] = scenario.engineers.charge
            values |= {f"{APPROVAL}{name}": params[name] for name in GOVERNED if name in params}
            if params.get("decided") != "fixed":  # the members' median decides
                values.pop(f"{APPROVAL}share", None)
        return values

    @property
    def approval_params(self) -> dict[str, Any]:
        """The parameters of the approval rule as they are now in force."""
        governed = {
            name.removeprefix(APPROVAL): value
            for name, value in self.values.items()
            if name.startswith(APPROVAL)
        }
        return {**self.scenario.approval.params, **governed}

    def fee_in(self, jurisdiction: str) -> int | None:
        """Return what a licence costs in a jurisdiction, "" for none; None: none is sold there."""
        place = f".{jurisdiction}" if jurisdiction else ""
        sells = self.values[SELLS] and self.values[SELLS + place]
        return int(self.values[FEE + place]) if sells else None

    def eligible(self, client: int) -> bool:
        """Return whether a client may buy licences."""
        return bool(self.values[f"{CLIENTS}{client}"])

    def redivide(self, party: str, share: float) -> None:
        """Make the pool of engineers or annotators another share of the creator's stake.

        A pool that grows does so out of what is left of the other one.
        """
        stake, name = self.scenario.pools.stake, f"{POOL}{party}"
        more = part(stake, share) - part(stake, self.values[name])
        self.values[name] = share
        if more > 0:
            self.purse.move(party, more)
        self._weigh()

    def _weigh(self) -> None:
        """Let income top up pools in proportion of their present shares."""
        stake = self.scenario.pools.stake
        self.purse.weigh({party: part(stake, self.values[f"{POOL}{party}"]) for party in PAID})

    @property
    def expired(self) -> bool:
        """Whether the pools of engineers and annotators have gone back to the creator."""
        last = self.scenario.pools.expires
        return 0 < last < self.game.clock.round

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
        return [d for d in devices if self.game.online(d, self.now_s)]

    def download(self, device: int) -> None:
        """Hand the master model over to a device."""
        self.chain.adopt(device, self.chain.head, self.now_s)

    def earn(self, payer: int, amount: int, reason: str) -> None:
        """Take what a device pays for the model; pools that have ended get nothing of it."""
        top_up = 0.0 if self.expired else float(self.values[TOP_UP])
        self.purse.earn(payer, amount, reason, top_up)

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
            "values": self.values,
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Continue from `to_state`."""
        self.members, self.left = set(state["members"]), dict(state["left"])
        self.values.update(state["values"])
        self._weigh()
