"""The mute miner: it builds a block and does not send it."""

from __future__ import annotations

from dataclasses import dataclass

from agents.miners.base import MinerBehaviour
from mechanisms.plugin import param
from mechanisms.vocabulary import MiningDecision, MiningObservation


class Withhold(MinerBehaviour):
    """Withholds its own block, but adopts and relays the winner's block as the protocol asks."""

    name = "withhold"
    summary = "withholds its candidate block"
    reference = "Chen et al., arXiv:2101.03300 (malicious miner, not in the authors' code)"
    stochastic = True
    examples = ({}, {"probability": 0.5})

    @dataclass(frozen=True)
    class Params:
        probability: float = param(1.0, help="probability of withholding a block", ge=0, le=1)

    params: Params

    def mine(self, seen: MiningObservation) -> MiningDecision:
        return MiningDecision(publish=bool(seen.rng.random() >= self.params.probability))
