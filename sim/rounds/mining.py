"""A miner at work: what it makes of the block, or the aggregate, that it is about to deliver."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mechanisms.vocabulary import MiningDecision, MiningObservation, UpdateRecord
from sim.rounds.local_work import LocalWork

if TYPE_CHECKING:
    from sim.world import World


def decide(
    world: World, work: LocalWork, miner: int, records: tuple[UpdateRecord, ...]
) -> MiningDecision:
    """What the miner's behaviour decides about `records`; it sees their rows only where it knows "updates"."""
    behaviour = world.participants[miner].miner
    return behaviour.mine(
        MiningObservation(
            round=world.round_index,
            miner=miner,
            records=records,
            rng=world.streams.rng("adversary.miner", miner, world.round_index),
            coalition=world.coalitions[miner],
            updates=work.updates[[work.row[r.worker] for r in records]]
            if "updates" in behaviour.knows
            else None,
        )
    )
