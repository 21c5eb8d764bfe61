"""From a finished round of training to the columns that protocols share."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from mechanisms.vocabulary import Role, UpdateRecord
from sim.chain.state import ChainState
from sim.population.utility import Stakes
from sim.privacy import epsilon
from sim.training.game import TrainingGame
from sim.training.local_work import LocalWork


class GlobalAccuracy:
    """Test accuracy and loss of each device's global model; distinct models are measured once.

    `each` are the accuracies of what the devices hold that train.
    """

    def __init__(self, game: TrainingGame) -> None:
        bench, held = game.bench, [holding.model for holding in game.forks]
        keys = sorted({*held, game.forks.canonical().model})
        measured = bench.test(
            [bench.models[key] for key in keys], [bench.models.digest(key) for key in keys]
        )
        self.accuracy = dict(zip(keys, measured.accuracy.tolist(), strict=True))
        self.loss = dict(zip(keys, measured.loss.tolist(), strict=True))
        self.each = np.array([self.accuracy[held[device]] for device in game.scenario.trainers])


def record_served(
    game: TrainingGame,
    start_s: float,
    *,
    online: Collection[int],
    workers: int,
    work: LocalWork,
    records: Sequence[UpdateRecord],
    compute_s: Mapping[int, float],
    own_round: Mapping[str, Any] | None = None,
    own: Mapping[int, Mapping[str, Any]] | None = None,
    benefit: Mapping[int, float] | None = None,
    effort: Mapping[int, float] | None = None,
) -> None:
    """Record all rows of a round in which a server aggregates and nobody votes.

    Args:
        game: the services of the run.
        start_s: when the round began.
        online: who was there then.
        workers: how many devices were workers.
        work: what they trained and sent.
        records: the updates that were aggregated.
        compute_s: simulated seconds of computing by device.
        own_round: the protocol's own columns of `rounds`.
        own: its own columns of `participants` by device.
        benefit: base units that the round is worth to a device beside its income.
        effort: base units of work beside computing, by device.
    """
    tested = GlobalAccuracy(game)
    columns = round_columns(
        game, tested, online=online, workers=workers, work=work, records=records
    )
    game.kernel.record_round(start_s, columns | dict(own_round or {}))
    people = participant_columns(game, tested, work=work, records=records, compute_s=compute_s)
    for device, more in (own or {}).items():
        people[device] |= more
    record_participants(
        game, tested, online, people, compute_s=compute_s, benefit=benefit, effort=effort
    )


def round_columns(
    game: TrainingGame,
    tested: GlobalAccuracy,
    *,
    online: Collection[int],
    workers: int,
    work: LocalWork,
    records: Sequence[UpdateRecord],
) -> dict[str, Any]:
    """Return the columns of `rounds` that every protocol has that trains.

    Args:
        game: the services of the run.
        tested: what the global models are worth.
        online: who was there at the start.
        workers: how many devices were workers.
        work: what they trained and sent.
        records: the updates that were judged.
    """
    model = game.forks.canonical().model
    count = Counter((r.accepted, game.population[r.worker].adversary) for r in records)
    return {
        "accuracy": tested.accuracy[model],
        "loss": tested.loss[model],
        "attack_success": game.bench.attack_success(model),
        "accuracy_mean": float(tested.each.mean()),
        "accuracy_max": float(tested.each.max()),
        "accuracy_min": float(tested.each.min()),
        "online": len(online),
        "workers": workers,
        "updates": len(work.workers),
        "accepted_honest": count[True, False],
        "accepted_adversary": count[True, True],
        "rejected_honest": count[False, False],
        "rejected_adversary": count[False, True],
        "malformed": int((~work.finite).sum()),
        "heads": len({game.forks.state(device).head for device in game.scenario.trainers}),
    }


def participant_columns(
    game: TrainingGame,
    tested: GlobalAccuracy,
    *,
    work: LocalWork,
    records: Sequence[UpdateRecord],
    compute_s: Mapping[int, float],
) -> dict[int, dict[str, Any]]:
    """Return by device the columns of `participants` that every protocol has that trains."""
    by_worker = {r.worker: r for r in records}
    local = _local_accuracies(game, work)
    malformed = dict(zip(work.workers, (~work.finite).tolist(), strict=True))
    privacy = game.scenario.privacy
    columns = {}
    for device, holding in enumerate(game.forks):
        epochs = accepted = None
        if device in by_worker:
            record = by_worker[device]
            epochs, accepted = record.claimed_epochs, record.accepted
        spent = None
        if privacy.noise:
            spent = epsilon(privacy.noise, privacy.delta, game.sent[device])
        columns[device] = {
            "samples": len(game.bench.samples(device)),
            "epochs": epochs,
            "accepted": accepted,
            "malformed": malformed.get(device),
            "local_accuracy": local.get(device),
            "accuracy": tested.accuracy[holding.model],
            "compute_s": compute_s.get(device, 0.0),
            "penalty": game.forks.penalised[device],
            "height": holding.state.height,
            "head": holding.state.head.hex(),
            "epsilon": spent,
        }
    return columns


def vote_columns(devices: int, records: Sequence[UpdateRecord]) -> dict[int, dict[str, Any]]:
    """Return by device the columns of `participants` that say how its update was voted on."""
    columns: dict[int, dict[str, Any]] = {
        device: {"votes_positive": None, "votes_negative": None} for device in range(devices)
    }
    for r in records:
        columns[r.worker] = {
            "votes_positive": len(r.positive),
            "votes_negative": len(r.negative),
        }
    return columns


def record_participants(
    game: TrainingGame,
    tested: GlobalAccuracy,
    online: Collection[int],
    own: Mapping[int, Mapping[str, Any]],
    *,
    compute_s: Mapping[int, float],
    effort: Mapping[int, float] | None = None,
    benefit: Mapping[int, float] | None = None,
) -> None:
    """Record all participants, and let those learn that played their strategy as workers.

    Args:
        game: the services of the run.
        tested: what the global models are worth.
        online: who was there at the start.
        own: the protocol's own columns by device.
        compute_s: simulated seconds of computing by device.
        effort: what other work, or storing updates off the chain, cost it, by device.
        benefit: base units that the round is worth to a device beside what damage is worth to it.
    """
    rate = game.scenario.costs.compute_per_s
    computing = {device: rate * seconds for device, seconds in compute_s.items()}
    error = 1 - tested.accuracy[game.forks.canonical().model]
    benefits = _benefits(game, error)
    for device, amount in (benefit or {}).items():
        benefits[device] = benefits.get(device, 0.0) + amount
    stakes = Stakes(
        locked=game.locked(),
        locked_before=game.locked_before,
        costs=(computing, effort or {}),
        benefit=benefits,
    )
    utilities = game.kernel.record_participants(online, stakes, own)
    played = {
        p.device: utilities[p.device]
        for p in game.population
        if p.role is Role.WORKER and p.active and p.device in online
    }
    game.population.learners.observe(played)


def _benefits(game: TrainingGame, error: float) -> dict[int, float]:
    """Return by device what the global model's error is worth to active members of groups."""
    rates = {g.name: g.damage_benefit for g in game.scenario.adversaries}
    in_play = game.population.identities.in_play
    return {
        p.device: rates.get(p.group, 0.0) * error
        for p in game.population
        if p.active and in_play(p.device)
    }


def _local_accuracies(game: TrainingGame, work: LocalWork) -> dict[int, float]:
    """Return the test accuracy of every submitted update, when the scenario asks for it."""
    if not game.scenario.record.local_accuracy:
        return {}
    measured = game.bench.test(list(work.updates), work.digests)
    return dict(zip(work.workers, measured.accuracy.tolist(), strict=True))


def measured(accuracy: float) -> float | None:
    """Return None for NaN, an accuracy that was not measured."""
    return None if math.isnan(accuracy) else accuracy


def version_rows(canonical: ChainState) -> Iterator[dict[str, Any]]:
    """Yield the rows of table `versions` of one chain, oldest first."""
    lineage = list(canonical.lineage())
    for state in reversed(lineage):
        for v in state.versions:
            yield {
                "round": v.round,
                "height": state.height,
                "version": v.id.hex(),
                "parent": v.parent.hex(),
                "weights": v.weights.hex(),
                "block": v.block.hex(),
                "author": v.author if v.author >= 0 else None,
                "status": "rollback" if v.restores else "released",
                "restores": v.restores.hex() or None,
                "held_out_accuracy": measured(v.accuracy),
            }
