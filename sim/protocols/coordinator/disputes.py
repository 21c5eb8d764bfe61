"""Delivery of the aggregate by the drawn aggregator, and disputes about it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from mechanisms import answers
from mechanisms.vocabulary import Conduct, DisputeObservation, UpdateRecord
from sim.protocols.coordinator.game import CoordinatorGame
from sim.training.decisions import decide
from sim.training.local_work import LocalWork
from sim.training.server import Server
from sim.training.settling import aggregate

AGGREGATE = b"aggregate"
"""Stands for the hash of a block: what the aggregator puts in the place of updates."""


@dataclass(frozen=True)
class Delivery:
    """An aggregate: key of the model, of the one that would be right, and of the one before."""

    model: int
    right: int
    before: int


def deliver(
    game: CoordinatorGame,
    server: Server,
    work: LocalWork,
    verified: Sequence[UpdateRecord],
    right: Delivery,
    conduct: Conduct,
) -> tuple[Delivery, Conduct]:
    """Let the aggregator of `conduct` deliver; return what it delivers, and its fault.

    An aggregator that does not deliver, or delivers what is no number, is absent: the model stays
    the one before.
    """
    clock, aggregator = server.clock, conduct.aggregator
    assert aggregator is not None
    missing = replace(right, model=right.before), replace(conduct, fault="absent")
    decision = decide(game, work, aggregator, tuple(verified))
    if not decision.publish or not game.online(aggregator, clock.last_s):
        game.incidents.note(clock.last_s, aggregator, None, "absent-aggregator")
        return missing
    clock.last_s += server.send_s(aggregator)
    work.tamper(AGGREGATE, decision.replaced)
    if not all(np.isfinite(row).all() for row in work.replaced[AGGREGATE].values()):
        game.incidents.note(clock.last_s, aggregator, None, "malformed")
        return missing
    if not decision.replaced and not decision.censored:
        return right, conduct
    used = [r for r in verified if r.worker not in decision.censored]
    model = right.before
    if used:
        model = aggregate(game, work, used, right.before, AGGREGATE)
    return replace(right, model=model), conduct


def dispute(
    game: CoordinatorGame,
    server: Server,
    delivered: Delivery,
    members: Iterable[int],
    conduct: Conduct,
) -> tuple[int, Conduct]:
    """Let some members recompute the aggregate within the challenge window and dispute it.

    Returns the key of the model that counts in the end, and what the contract knows of the
    aggregator and its challengers.
    """
    digest = game.bench.models.digest
    wrong = digest(delivered.model) != digest(delivered.right)
    server.clock.last_s += game.scenario.coordinator.challenge_s
    now = server.clock.last_s
    disputing = [d for d in _watching(game, server, members) if _disputes(game, d, wrong, conduct)]
    if not disputing:
        return delivered.model, conduct
    if not wrong:
        for d in disputing:
            game.incidents.note(now, d, conduct.aggregator, "false-challenge")
        return delivered.model, replace(conduct, false_challengers=frozenset(disputing))
    # One challenger counts as the first; which one is luck.
    draw = game.streams.rng("dispute", game.clock.round).integers(len(disputing))
    winner = disputing[int(draw)]
    game.incidents.note(now, conduct.aggregator, winner, "wrong-aggregate")
    return delivered.right, replace(conduct, fault="wrong", challenger=winner)


def _watching(game: CoordinatorGame, server: Server, members: Iterable[int]) -> list[int]:
    """Return the members that recompute the aggregate; it costs them time."""
    settings = game.scenario.coordinator
    watching = []
    for d in members:
        if d not in server.online_at_start:
            continue
        if game.streams.rng("watch", d, game.clock.round).random() < settings.watch:
            server.compute_s[d] = server.compute_s.get(d, 0.0) + settings.watch_s
            watching.append(d)
    return watching


def _disputes(game: CoordinatorGame, device: int, wrong: bool, conduct: Conduct) -> bool:
    seen = DisputeObservation(
        round=game.clock.round,
        device=device,
        aggregator=conduct.aggregator,
        wrong=wrong,
        coalition=game.population.coalitions[device],
    )
    behaviour = game.population[device].behaviour("miner")
    return answers.truth(behaviour, "challenges", behaviour.challenges(seen), seen.who)
