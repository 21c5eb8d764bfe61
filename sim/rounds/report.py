"""From a finished round to rows of the tables."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Set
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np

from mechanisms.vocabulary import UpdateRecord
from sim.chain.state import ChainState
from sim.ledger import BURN, ISSUANCE
from sim.privacy import epsilon

if TYPE_CHECKING:
    from sim.rounds.coordinator import CoordinatorRound
    from sim.rounds.fedavg import FedavgRound
    from sim.rounds.server import ServerRound
    from sim.rounds.vbfl import VbflRound
    from sim.world import World


class GlobalAccuracy:
    """Test accuracy and loss of the global model of every device; each distinct model is measured once."""

    def __init__(self, world: World) -> None:
        keys = sorted({p.global_model for p in world.participants} | {world.canonical().model})
        measured = world.test(
            [world.models[k] for k in keys], [world.models.digest(k) for k in keys]
        )
        self.accuracy = dict(zip(keys, measured.accuracy.tolist(), strict=True))
        self.loss = dict(zip(keys, measured.loss.tolist(), strict=True))
        self.each = np.array([self.accuracy[p.global_model] for p in world.participants])


def round_row(
    world: World, start_s: float, canonical: ChainState, tested: GlobalAccuracy
) -> dict[str, Any]:
    """What every protocol records of a round; the caller adds its own columns."""
    entries = world.ledger.journal[world.first_entry :]
    return {
        "round": world.round_index,
        "start_s": start_s,
        "end_s": world.time_s,
        "duration_s": world.time_s - start_s,
        "accuracy": tested.accuracy[canonical.model],
        "loss": tested.loss[canonical.model],
        "attack_success": world.attack_success(canonical.model),
        "accuracy_mean": float(tested.each.mean()),
        "accuracy_max": float(tested.each.max()),
        "accuracy_min": float(tested.each.min()),
        "issued": sum(e.amount for e in entries if e.debit == ISSUANCE),
        "burned": sum(e.amount for e in entries if e.credit == BURN),
        "blocked": len(canonical.blocked),
        "heads": len({p.state.head for p in world.participants}),
    }


def acceptance(world: World, records: tuple[UpdateRecord, ...]) -> dict[str, int]:
    """Accepted and rejected updates by who sent them."""
    count = Counter((r.accepted, world.participants[r.worker].adversary) for r in records)
    return {
        "accepted_honest": count[True, False],
        "accepted_adversary": count[True, True],
        "rejected_honest": count[False, False],
        "rejected_adversary": count[False, True],
    }


def participant_rows(
    world: World,
    tested: GlobalAccuracy,
    records: tuple[UpdateRecord, ...],
    local_accuracy: dict[int, float],
    online: set[int],
    *,
    compute_s: Mapping[int, float],
    storage_cost: Mapping[int, float] = MappingProxyType({}),
    miner_of: Mapping[int, int] = MappingProxyType({}),
    validator_of: Mapping[int, int] = MappingProxyType({}),
    resynced: Set[int] = frozenset(),
    conduct: Mapping[int, str] = MappingProxyType({}),
    commitments: Mapping[int, bytes] = MappingProxyType({}),
    openings: Mapping[int, bytes] = MappingProxyType({}),
) -> list[dict[str, Any]]:
    """One row per device."""
    income: Counter[str] = Counter()
    for e in world.ledger.journal[world.first_entry :]:
        income[e.credit] += e.amount
        income[e.debit] -= e.amount
    locked, locked_before = world.locked(), world.locked_before
    by_worker = {r.worker: r for r in records}
    cost, privacy = world.scenario.costs.compute_per_s, world.scenario.privacy
    benefit = {g.name: g.damage_benefit for g in world.scenario.adversaries}
    error = 1 - tested.accuracy[world.canonical().model]
    rows = []
    for p in world.participants:
        record = by_worker.get(p.device)
        rows.append(
            {
                "round": world.round_index,
                "device": p.device,
                "group": p.group,
                "adversary": p.adversary,
                "role": p.role.value if p.role else None,
                "strategy": p.worker.name,
                "online": p.device in online,
                "miner": miner_of.get(p.device),
                "validator": validator_of.get(p.device),
                "samples": len(world.samples(p.device)),
                "epochs": record.claimed_epochs if record else None,
                "commitment": commitments[p.device].hex() if p.device in commitments else None,
                "opening": openings[p.device].hex() if p.device in openings else None,
                "conduct": conduct.get(p.device),
                "accepted": record.accepted if record else None,
                "votes_positive": len(record.positive) if record else None,
                "votes_negative": len(record.negative) if record else None,
                "local_accuracy": local_accuracy.get(p.device),
                "accuracy": tested.accuracy[p.global_model],
                "income": income[p.account],
                "compute_s": compute_s.get(p.device, 0.0),
                "utility": income[p.account]
                + locked.get(p.device, 0)
                - locked_before.get(p.device, 0)
                - cost * compute_s.get(p.device, 0.0)
                - storage_cost.get(p.device, 0.0)
                + (
                    benefit.get(p.group, 0.0) * error
                    if p.active and world.identities.in_play(p.device)
                    else 0.0
                ),
                "balance": world.stake(p.device),
                "locked": locked.get(p.device, 0),
                "penalty": world.penalised[p.device],
                "height": p.state.height,
                "head": p.state.head.hex(),
                "blocked": p.device in p.state.blocked,
                "resynced": p.device in resynced,
                "epsilon": epsilon(privacy.noise, privacy.delta, world.sent[p.device])
                if privacy.noise
                else None,
                "storage_cost": storage_cost.get(p.device, 0.0),
            }
        )
    return rows


def local_accuracies(world: World, work: Any) -> dict[int, float]:
    """Test accuracy of every submitted update, when the scenario asks for it."""
    if not world.scenario.record.local_accuracy:
        return {}
    measured = world.test(list(work.updates), work.digests)
    return dict(zip(work.workers, measured.accuracy.tolist(), strict=True))


def _measured(accuracy: float) -> float | None:
    """NaN is what nobody measured."""
    return None if math.isnan(accuracy) else accuracy


def record_versions(world: World) -> None:
    """Table `versions`, of the chain that most devices hold; empty without a registry."""
    lineage = list(world.canonical().lineage())[::-1]
    world.recorder.add(
        "versions",
        (
            {
                "round": v.round,
                "height": state.height,
                "version": v.id.hex(),
                "parent": v.parent.hex(),
                "weights": v.weights.hex(),
                "block": v.block.hex(),
                "author": v.author if v.author >= 0 else None,
                "status": "rollback" if v.restores else "released",
                "restores": v.restores.hex() or None,
                "held_out_accuracy": _measured(v.accuracy),
            }
            for state in lineage
            for v in state.versions
        ),
    )


def record_vbfl(r: VbflRound) -> None:
    """All rows of a VBFL round."""
    world = r.world
    tested = GlobalAccuracy(world)
    adopters: Counter[bytes] = Counter(b.hash for b in r.appended.values())
    # The block that most devices appended (ties: the higher stake, then the lower hash) is the round's winner.
    blocks = {b.hash: b for b, _ in r.published}
    winner = min(
        (blocks[h] for h in adopters),
        key=lambda b: (-adopters[b.hash], -b.stake, b.hash),
        default=None,
    )
    records = winner.body.records if winner else ()
    if winner:
        for v in winner.body.votes:
            r.ballots[v.validator, v.worker].status = "counted"
    votes = Counter(v.accept for v in winner.body.votes) if winner else Counter()
    world.recorder.add(
        "rounds",
        [
            round_row(world, r.start_s, world.canonical(), tested)
            | acceptance(world, records)
            | {
                "block_time_s": winner.generated_s - r.start_s if winner else None,
                "online": len(r.online_at_start),
                "workers": len(r.seats.workers),
                "validators": len(r.seats.validators),
                "miners": len(r.seats.miners),
                "updates": len(r.work.workers),
                "votes_positive": votes[True],
                "votes_negative": votes[False],
                "blocks": len(r.published),
                "forked": len(adopters) > 1,
                "winner": winner.miner if winner else None,
                "winner_stake": winner.stake if winner else None,
            }
        ],
    )
    world.recorder.add(
        "participants",
        participant_rows(
            world,
            tested,
            records,
            local_accuracies(world, r.work),
            r.online_at_start,
            compute_s=r.compute_s,
            storage_cost=r.storage_cost,
            miner_of=r.seats.miner_of,
            validator_of=r.seats.validator_of,
            resynced=r.resynced,
        ),
    )
    world.recorder.add(
        "votes",
        (
            {
                "round": r.round,
                "validator": b.validator,
                "worker": b.worker,
                "validator_adversary": world.participants[b.validator].adversary,
                "worker_adversary": world.participants[b.worker].adversary,
                "baseline_accuracy": _measured(b.baseline_accuracy),
                "update_accuracy": _measured(b.update_accuracy),
                "vad": _measured(b.baseline_accuracy - b.update_accuracy),
                "verdict": b.verdict,
                "vote": b.vote,
                "time_s": b.time_s,
                "status": b.status,
            }
            for b in r.ballots.values()
        ),
    )
    candidates = [(b, "adopted" if adopters[b.hash] else "orphaned") for b, _ in r.published]
    world.recorder.add(
        "blocks",
        (
            {
                "round": r.round,
                "height": b.height,
                "hash": b.hash.hex(),
                "previous": b.previous.hex(),
                "miner": b.miner,
                "miner_adversary": world.participants[b.miner].adversary,
                "stake": b.stake,
                "generated_s": b.generated_s,
                "size_bytes": r.block_bytes(b),
                "updates": len(b.body.updates),
                "votes": len(b.body.votes),
                "adopters": adopters[b.hash],
                "status": status,
            }
            for b, status in [*candidates, *((b, "withheld") for b in r.withheld)]
        ),
    )


def record_fedavg(r: FedavgRound) -> None:
    """All rows of a round of federated averaging: no votes, no blocks."""
    _record_server(r, {"workers": len(r.workers)})


def record_coordinator(r: CoordinatorRound) -> None:
    """All rows of a coordinated round: `winner` is its aggregator, `block_time_s` when the aggregate was final."""
    world = r.world
    votes = Counter(vote for *_, vote, _ in r.votes)
    _record_server(
        r,
        {
            "workers": len(r.workers),
            "validators": len(r.committee),
            "miners": int(r.aggregator is not None),
            "votes_positive": votes[True],
            "votes_negative": votes[False],
            "winner": r.aggregator,
            "winner_stake": None if r.aggregator is None else world.stakes[r.aggregator],
            "block_time_s": r.block_time_s,
        },
        conduct=r.conduct_of,
        commitments=r.commitments,
        openings=r.openings,
    )
    world.recorder.add(
        "votes",
        (
            {
                "round": r.round,
                "validator": v,
                "worker": w,
                "validator_adversary": world.participants[v].adversary,
                "worker_adversary": world.participants[w].adversary,
                "baseline_accuracy": None,
                "update_accuracy": None,
                "vad": None,
                "verdict": verdict,
                "vote": vote,
                "time_s": time_s,
                "status": "counted",
            }
            for v, w, verdict, vote, time_s in sorted(r.votes)
        ),
    )


def _record_server(r: ServerRound, own: dict[str, Any], **contract: Any) -> None:
    """`contract`: what a coordinator's contract knows of each worker, as `participant_rows` has it."""
    world = r.world
    tested = GlobalAccuracy(world)
    absent = {
        "block_time_s": None,
        "validators": 0,
        "miners": 0,
        "votes_positive": 0,
        "votes_negative": 0,
        "blocks": 0,
        "forked": False,
        "winner": None,
        "winner_stake": None,
    }
    world.recorder.add(
        "rounds",
        [
            round_row(world, r.start_s, world.canonical(), tested)
            | acceptance(world, r.records)
            | {"online": len(r.online_at_start), "updates": len(r.work.workers)}
            | absent
            | own
        ],
    )
    world.recorder.add(
        "participants",
        participant_rows(
            world,
            tested,
            r.records,
            local_accuracies(world, r.work),
            r.online_at_start,
            compute_s=r.compute_s,
            **contract,
        ),
    )
