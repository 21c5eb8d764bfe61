"""Members that dispute whatever an aggregator delivers."""

from __future__ import annotations

from agents.miners.base import MinerBehaviour
from mechanisms.vocabulary import DisputeObservation, MiningDecision, MiningObservation


class Grief(MinerBehaviour):
    """Honest when it aggregates itself; challenges every aggregate of devices outside its group, which costs it its deposit."""

    name = "grief"
    summary = "challenges every aggregate, right or wrong"
    reference = "guide on on-chain coordination, challenge game (false challenges)"

    def mine(self, seen: MiningObservation) -> MiningDecision:
        return MiningDecision()

    def challenges(self, seen: DisputeObservation) -> bool:
        return seen.aggregator not in seen.coalition
