"""Members that dispute every aggregate."""

from __future__ import annotations

from agents.miners.base import MinerBehaviour
from mechanisms.vocabulary import DisputeObservation, MiningDecision, MiningObservation


class Grief(MinerBehaviour):
    """Aggregates honestly, but challenges every aggregate of a device outside its group.

    A false challenge costs the deposit.
    """

    name = "grief"
    summary = "challenges every aggregate, right or wrong"
    reference = "guide on on-chain coordination, challenge game (false challenges)"

    def mine(self, seen: MiningObservation) -> MiningDecision:
        return MiningDecision()

    def challenges(self, seen: DisputeObservation) -> bool:
        return seen.aggregator not in seen.coalition
