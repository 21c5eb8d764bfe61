"""Miners that leave out updates."""

from __future__ import annotations

from dataclasses import dataclass

from agents.miners.base import MinerBehaviour
from mechanisms.plugin import param
from mechanisms.vocabulary import MiningDecision, MiningObservation


class Censor(MinerBehaviour):
    """Leaves out the updates of given devices."""

    name = "censor"
    summary = "leaves updates of given devices out of its block"
    reference = "censorship by a block producer"

    @dataclass(frozen=True)
    class Params:
        devices: tuple[int, ...] = param(
            (),
            help="workers to leave out; none given: all outside the miner's own group",
            ge=0,
            devices=True,
        )

    params: Params

    def mine(self, seen: MiningObservation) -> MiningDecision:
        present = {r.worker for r in seen.records}
        unwanted = set(self.params.devices) or present - seen.coalition
        return MiningDecision(censored=frozenset(present & unwanted))
