"""Settlement of accepted updates: the next model, and who is paid for them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mechanisms import answers
from mechanisms.aggregators.base import AggregationRule
from mechanisms.geometry import finite_rows
from mechanisms.transforms.base import Transform
from mechanisms.vocabulary import (
    AggregationObservation,
    BlockObservation,
    Conduct,
    FloatMatrix,
    Memory,
    Payment,
    UpdateRecord,
)
from sim.chain.state import ChainState
from sim.training.game import TrainingGame
from sim.training.local_work import LocalWork
from sim.training.tape import taped_block
from sim.training.workbench import Workbench


def aggregate(
    game: TrainingGame,
    work: LocalWork,
    records: Sequence[UpdateRecord],
    start: int,
    block: bytes = b"",
) -> int:
    """Aggregate the updates of `records` to the model `start`; return the new model's key.

    Rows that are not finite are left out; without any other the model stays. `block` is the hash of
    the block that carries them, where there is one.
    """
    if game.scenario.privacy.secure_aggregation and len(records) < 2:
        return start  # the sum of one update is that update
    # A tampered block can carry rows that are not finite.
    finite = finite_rows(work.rows_of([r.worker for r in records], block))
    records = [r for r, good in zip(records, finite.tolist(), strict=True) if good]
    if not records:
        return start
    workers = [r.worker for r in records]
    samples = np.array([r.claimed_samples for r in records], dtype=np.int64)
    rows = work.rows_of(workers, block)
    return combine(game, game.aggregation, game.transforms, workers, rows, samples, start)


def combine(
    game: TrainingGame,
    rule: AggregationRule,
    transforms: Sequence[Transform],
    workers: Sequence[int],
    rows: FloatMatrix,
    samples: NDArray[np.int64],
    start: int,
) -> int:
    """Return the key of the model that a rule makes of finite rows on top of the model `start`.

    Args:
        game: the services of the run.
        rule: how rows become one.
        transforms: what they go through first.
        workers: who sent them.
        rows: `float32[n, P]`.
        samples: that each is said to be trained on, `int64[n]`.
        start: key of the model before.
    """
    known = {}
    if "root" in rule.observes:
        known["root"] = game.bench.root_update(start)
    seen = AggregationObservation(
        round=game.clock.round,
        workers=tuple(workers),
        updates=rows,
        samples=samples,
        global_model=game.bench.models[start],
        **known,
    )
    for used in (*transforms, rule):
        game.reduced.note(used, len(workers))
    for transform in transforms:
        changed = transform.apply(seen.shown_to())
        changed = answers.numbers(transform, "apply", changed, seen.updates.shape)
        seen = replace(seen, updates=changed)
    row = rule.aggregate(seen.shown_to(rule.observes))
    return game.bench.models.add(answers.numbers(rule, "combine", row, (game.bench.engine.size,)))


@dataclass(frozen=True)
class Settled:
    """A settlement in a chain state: credits of devices, other moves, the rule's memory."""

    payments: dict[int, tuple[Payment, ...]]
    moves: tuple[Payment, ...]
    memory: Memory


def settle(
    game: TrainingGame,
    work: LocalWork,
    parent: ChainState,
    *,
    result: int,
    miner: int | None,
    records: tuple[UpdateRecord, ...],
    block: bytes,
    conduct: Conduct | None = None,
) -> Settled:
    """Ask the payout rule about a block on top of `parent`.

    Args:
        game: the services of the run.
        work: the updates of the round.
        parent: the chain below the block.
        result: key of the model that the block's aggregation gave.
        miner: who made the block; None: a server.
        records: its updates, as judged.
        block: its hash.
        conduct: what a contract knows beside the records.
    """
    # Ask the rule.
    seen = _observation(
        game,
        work,
        parent,
        result=result,
        miner=miner,
        records=records,
        block=block,
        conduct=conduct,
    )
    if game.kernel.recorder.records("tape"):
        game.kernel.recorder.add("tape", [taped_block(seen, parent.id, block)])
    settlement = game.payout.settle(seen.shown_to(game.payout.observes))

    # Keep its answer: devices credit themselves when they adopt the block, the rest moves once.
    by_payee: dict[int, list[Payment]] = {}
    moves = []
    for p in settlement.payments:
        if p.per_device:
            by_payee.setdefault(int(p.payee), []).append(p)
        else:
            moves.append(p)
    memory = parent.memory if settlement.memory is None else settlement.memory
    payments = {device: tuple(ps) for device, ps in by_payee.items()}
    return Settled(payments, tuple(moves), memory)


def _observation(
    game: TrainingGame,
    work: LocalWork,
    parent: ChainState,
    *,
    result: int,
    miner: int | None,
    records: tuple[UpdateRecord, ...],
    block: bytes,
    conduct: Conduct | None,
) -> BlockObservation:
    """Return a block as the payout rule and the tape need it; what neither needs is left out."""
    observes = game.payout.observes
    taped = game.kernel.recorder.records("tape")
    start = game.bench.models[parent.model]
    known: dict[str, Any] = {}
    if taped or observes & {"updates", "utility"}:
        known["updates"] = work.rows_of([r.worker for r in records], block)
    if "utility" in observes:
        workers = [r.worker for r in records]
        known["utility"] = game.bench.utility(known["updates"], start, workers)
    if conduct is not None:
        known["conduct"] = conduct
    if "wallets" in observes:
        known["wallets"] = game.wallets
    if taped or "work" in observes:
        records = tuple(_audited(game.bench, work, r) for r in records)
    return BlockObservation(
        round=game.clock.round,
        miner=miner,
        records=records,
        memory=parent.memory,
        stakes=game.stakes,
        start=start,
        result=game.bench.models[result],
        **known,
    )


def _audited(bench: Workbench, work: LocalWork, record: UpdateRecord) -> UpdateRecord:
    """Return a record with the work that was really done."""
    return replace(
        record,
        verified_samples=len(bench.samples(record.worker)),
        verified_epochs=int(work.trained_epochs[work.row[record.worker]]),
    )
