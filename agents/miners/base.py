"""A miner behaviour decides what happens to the candidate block."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

from mechanisms.plugin import Plugin
from mechanisms.vocabulary import DisputeObservation, MiningDecision, MiningObservation


class MinerBehaviour(Plugin, ABC):
    """`knows` names what is handed over beside the miner's own candidate block."""

    knows: ClassVar[frozenset[str]] = frozenset()

    @abstractmethod
    def mine(self, seen: MiningObservation) -> MiningDecision:
        """Publish or not, and which updates to leave out."""

    def challenges(self, seen: DisputeObservation) -> bool:
        """Whether a member that recomputed an aggregate disputes it, under `protocol = "coordinator"`: if it is wrong, and not

        by one of its own.
        """
        return seen.wrong and seen.aggregator not in seen.coalition
