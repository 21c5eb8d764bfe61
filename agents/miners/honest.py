"""Publishing the block as it is."""

from __future__ import annotations

from agents.miners.base import MinerBehaviour
from mechanisms.vocabulary import MiningDecision, MiningObservation


class Honest(MinerBehaviour):
    """The protocol's intended miner."""

    name = "honest"
    summary = "publishes its block with every update it received"
    reference = "protocol"

    def mine(self, seen: MiningObservation) -> MiningDecision:
        return MiningDecision()
