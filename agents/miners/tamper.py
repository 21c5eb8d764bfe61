"""Miners that change updates."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from agents.miners.base import MinerBehaviour
from mechanisms.plugin import param
from mechanisms.vocabulary import MiningDecision, MiningObservation


class Tamper(MinerBehaviour):
    """Replaces the updates that workers signed; devices that check signatures refuse the block."""

    name = "tamper"
    summary = "replaces the updates in its block"
    reference = "block integrity: Chen et al., arXiv:2101.03300"
    knows = frozenset({"updates"})

    @dataclass(frozen=True)
    class Params:
        factor: float = param(-1.0, help="times the weights of every update", ge=-1e6, le=1e6)

    params: Params

    def mine(self, seen: MiningObservation) -> MiningDecision:
        rows = np.float32(self.params.factor) * seen.updates
        return MiningDecision(
            replaced={r.worker: row for r, row in zip(seen.records, rows, strict=True)}
        )
