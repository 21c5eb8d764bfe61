"""A miner behaviour decides how its candidate block is sent, and what it disputes."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

from mechanisms.plugin import Plugin
from mechanisms.vocabulary import DisputeObservation, MiningDecision, MiningObservation


class MinerBehaviour(Plugin, ABC):
    """Base of miner behaviours. `knows` names what is shown beside the miner's candidate block."""

    sees = MiningObservation
    knows: ClassVar[frozenset[str]] = frozenset()

    @abstractmethod
    def mine(self, seen: MiningObservation) -> MiningDecision:
        """Decide whether to publish the block, and which updates to leave out or replace."""

    def challenges(self, seen: DisputeObservation) -> bool:
        """Return whether a member disputes an aggregate that it has recomputed.

        Asked only under `protocol = "coordinator"`. By default a member disputes wrong aggregates
        of devices outside its own group.
        """
        return seen.wrong and seen.aggregator not in seen.coalition
