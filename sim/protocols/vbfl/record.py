"""From a finished VBFL round to rows of the tables."""

from __future__ import annotations

from collections import Counter
from typing import Any

from sim.chain.block import Block
from sim.protocols.vbfl.ballots import Ballot
from sim.protocols.vbfl.mining import Mining
from sim.protocols.vbfl.plan import Plan
from sim.training.record import (
    GlobalAccuracy,
    measured,
    participant_columns,
    record_participants,
    round_columns,
    vote_columns,
)


def record(mining: Mining) -> None:
    """Record all rows of a round."""
    delivery, adoption, plan = mining.delivery, mining.adoption, mining.plan
    game = plan.game
    tested = GlobalAccuracy(game)
    adopters = Counter(block.hash for block in adoption.appended.values())
    winner = _winner(mining, adopters)
    if winner:
        for v in winner.body.votes:
            delivery.ballots[v.validator, v.worker].status = "counted"
    records = winner.body.records if winner else ()

    # Rounds.
    own = round_columns(
        game,
        tested,
        online=plan.online_at_start,
        workers=len(plan.seats.workers),
        work=plan.work,
        records=records,
    )
    own |= _block_columns(plan, winner) | {
        "validators": len(plan.seats.validators),
        "miners": len(plan.seats.miners),
        "blocks": len(mining.published),
        "forked": len(adopters) > 1,
        "blocked": len(game.forks.canonical().blocked),
    }
    game.kernel.record_round(plan.start_s, own)

    # Participants.
    columns = participant_columns(
        game, tested, work=plan.work, records=records, compute_s=delivery.compute_s
    )
    votes = vote_columns(game.scenario.devices, records)
    for device, row in columns.items():
        row |= votes[device] | _chain_columns(mining, device)
    record_participants(
        game,
        tested,
        plan.online_at_start,
        columns,
        compute_s=delivery.compute_s,
        effort=delivery.storage_cost,
    )

    # Votes and blocks.
    recorder = game.kernel.recorder
    recorder.add("votes", (_vote_row(plan, ballot) for ballot in delivery.cells))
    recorder.add("blocks", _block_rows(mining, adopters))


def _winner(mining: Mining, adopters: Counter[bytes]) -> Block | None:
    """Return the block that most devices appended (ties: the higher stake, then the lower hash)."""
    blocks = {block.hash: block for block, _ in mining.published}
    return min(
        (blocks[h] for h in adopters),
        key=lambda b: (-adopters[b.hash], -b.stake, b.hash),
        default=None,
    )


def _block_columns(plan: Plan, winner: Block | None) -> dict[str, Any]:
    """Return the columns of `rounds` about the winning block."""
    if winner is None:
        empty = {"votes_positive": 0, "votes_negative": 0}
        return empty | {"block_time_s": None, "winner": None, "winner_stake": None}
    votes = Counter(v.accept for v in winner.body.votes)
    return {
        "block_time_s": winner.generated_s - plan.start_s,
        "votes_positive": votes[True],
        "votes_negative": votes[False],
        "winner": winner.miner,
        "winner_stake": winner.stake,
    }


def _chain_columns(mining: Mining, device: int) -> dict[str, Any]:
    """Return the columns of `participants` that only VBFL has."""
    plan = mining.plan
    return {
        "miner": plan.seats.miner_of.get(device),
        "validator": plan.seats.validator_of.get(device),
        "blocked": device in plan.game.forks.state(device).blocked,
        "resynced": device in plan.resynced,
        "storage_cost": mining.delivery.storage_cost.get(device, 0.0),
    }


def _vote_row(plan: Plan, ballot: Ballot) -> dict[str, Any]:
    population = plan.game.population
    return {
        "round": plan.game.clock.round,
        "validator": ballot.validator,
        "worker": ballot.worker,
        "validator_adversary": population[ballot.validator].adversary,
        "worker_adversary": population[ballot.worker].adversary,
        "baseline_accuracy": measured(ballot.baseline_accuracy),
        "update_accuracy": measured(ballot.update_accuracy),
        "vad": measured(ballot.baseline_accuracy - ballot.update_accuracy),
        "verdict": ballot.verdict,
        "vote": ballot.vote,
        "time_s": ballot.time_s,
        "status": ballot.status,
    }


def _block_rows(mining: Mining, adopters: Counter[bytes]) -> list[dict[str, Any]]:
    """Return a row for every block that was made."""
    game = mining.plan.game
    made = [(b, "adopted" if adopters[b.hash] else "orphaned") for b, _ in mining.published]
    made += [(block, "withheld") for block in mining.withheld]
    return [
        {
            "round": game.clock.round,
            "height": block.height,
            "hash": block.hash.hex(),
            "previous": block.previous.hex(),
            "miner": block.miner,
            "miner_adversary": game.population[block.miner].adversary,
            "stake": block.stake,
            "generated_s": block.generated_s,
            "size_bytes": mining.adoption.block_bytes(block),
            "updates": len(block.body.updates),
            "votes": len(block.body.votes),
            "adopters": adopters[block.hash],
            "status": status,
        }
        for block, status in made
    ]
