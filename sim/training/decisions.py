"""Decisions of a miner or aggregator about the block or aggregate that it is to deliver."""

from __future__ import annotations

from mechanisms import answers
from mechanisms.vocabulary import MiningDecision, MiningObservation, UpdateRecord
from sim.training.game import TrainingGame
from sim.training.local_work import LocalWork


def decide(
    game: TrainingGame, work: LocalWork, miner: int, records: tuple[UpdateRecord, ...]
) -> MiningDecision:
    """Return what the miner's behaviour decides about `records`.

    It sees their rows only where it knows "updates".
    """
    behaviour = game.population[miner].behaviour("miner")
    known = {}
    if "updates" in behaviour.knows:
        known["updates"] = work.updates[[work.row[r.worker] for r in records]]
    seen = MiningObservation(
        round=game.clock.round,
        miner=miner,
        records=records,
        rng=game.streams.rng("adversary.miner", miner, game.clock.round),
        coalition=game.population.coalitions[miner],
        **known,
    )
    decision = behaviour.mine(seen.shown_to(behaviour.knows))
    return answers.decision(behaviour, decision, seen, game.bench.engine.size)
