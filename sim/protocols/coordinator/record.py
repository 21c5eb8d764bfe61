"""From a finished coordinated round to rows of the tables."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from mechanisms.vocabulary import UpdateRecord
from sim.protocols.coordinator.game import CoordinatorGame
from sim.training.local_work import LocalWork
from sim.training.record import (
    GlobalAccuracy,
    participant_columns,
    record_participants,
    round_columns,
    vote_columns,
)
from sim.training.server import Server


class CastVote(NamedTuple):
    """One committee member's vote on one update, and when it was cast."""

    validator: int
    worker: int
    verdict: bool
    vote: bool
    time_s: float


def record(
    game: CoordinatorGame,
    server: Server,
    work: LocalWork,
    *,
    aggregator: int | None,
    committee: Sequence[int],
    workers: Sequence[int],
    records: tuple[UpdateRecord, ...],
    votes: Sequence[CastVote],
    final_s: float | None,
    conduct_of: Mapping[int, str],
    commitments: Mapping[int, bytes],
    openings: Mapping[int, bytes],
) -> None:
    """Record all rows of a round.

    `winner` is its aggregator, `block_time_s` the time at which the aggregate was final.
    """
    tested = GlobalAccuracy(game)

    # Rounds.
    own = round_columns(
        game,
        tested,
        online=server.online_at_start,
        workers=len(workers),
        work=work,
        records=records,
    )
    counted = Counter(cast.vote for cast in votes)
    own |= {
        "validators": len(committee),
        "miners": int(aggregator is not None),
        "votes_positive": counted[True],
        "votes_negative": counted[False],
        "winner": aggregator,
        "winner_stake": None if aggregator is None else game.stakes[aggregator],
        "block_time_s": final_s,
    }
    game.kernel.record_round(server.clock.start_s, own)

    # Participants.
    columns = participant_columns(
        game, tested, work=work, records=records, compute_s=server.compute_s
    )
    voted = vote_columns(game.scenario.devices, records)
    for device, row in columns.items():
        row |= voted[device] | {
            "commitment": _hexadecimal(commitments.get(device)),
            "opening": _hexadecimal(openings.get(device)),
            "conduct": conduct_of.get(device),
        }
    record_participants(game, tested, server.online_at_start, columns, compute_s=server.compute_s)

    # Votes.
    rows = (_vote_row(game, cast) for cast in sorted(votes))
    game.kernel.recorder.add("votes", rows)


def _hexadecimal(value: bytes | None) -> str | None:
    return None if value is None else value.hex()


def _vote_row(game: CoordinatorGame, cast: CastVote) -> dict[str, Any]:
    return {
        "round": game.clock.round,
        "validator": cast.validator,
        "worker": cast.worker,
        "validator_adversary": game.population[cast.validator].adversary,
        "worker_adversary": game.population[cast.worker].adversary,
        "verdict": cast.verdict,
        "vote": cast.vote,
        "time_s": cast.time_s,
        "status": "counted",
    }
