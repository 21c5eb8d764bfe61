"""What accepted updates and a block come to: the next model, who is paid, who is shut out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from mechanisms.vocabulary import (
    AggregationObservation,
    BlockObservation,
    Conduct,
    FloatMatrix,
    Memory,
    Payment,
    UpdateRecord,
)
from sim.chain.block import Block
from sim.chain.state import ChainState, shut_out, tally
from sim.payments import check_memory, check_payments
from sim.rounds.local_work import LocalWork
from sim.rounds.release import release
from sim.tape import taped_block

if TYPE_CHECKING:
    from sim.world import World


def aggregate(
    world: World, work: LocalWork, records: Sequence[UpdateRecord], start: int, block: bytes = b""
) -> int:
    """Key of the model that the aggregation rule makes of the updates of `records`, from the model with key `start`.

    `block` is the hash of the block that carries them, where there is one.

    Raises ValueError when the rule returns something else than one finite row.
    """
    if world.scenario.privacy.secure_aggregation and len(records) < 2:
        return start  # the sum of one update is that update
    seen = AggregationObservation(
        round=world.round_index,
        workers=tuple(r.worker for r in records),
        updates=work.rows_of([r.worker for r in records], block),
        samples=np.array([r.claimed_samples for r in records], dtype=np.int64),
        global_model=world.models[start],
        root=world.root_update(start) if "root" in world.aggregation.observes else None,
    )
    for transform in world.transforms:
        seen = replace(seen, updates=transform.apply(seen))
    return world.models.add(_as_row(world.aggregation.aggregate(seen), world.engine.size))


@dataclass(frozen=True)
class Settled:
    """A settlement as a chain state holds it: what devices credit themselves, what moves otherwise, what is remembered."""

    payments: dict[int, tuple[Payment, ...]]
    moves: tuple[Payment, ...]
    memory: Memory


def settle(
    world: World,
    work: LocalWork,
    parent: ChainState,
    result: int,
    miner: int | None,
    records: tuple[UpdateRecord, ...],
    block: bytes,
    conduct: Conduct | None = None,
) -> Settled:
    """Ask the payout rule about the block with this hash on top of `parent`, whose aggregation gave the model `result`.

    Raises ValueError for a payment that nobody could receive or make.
    """
    observes, taped = world.payout.observes, world.scenario.record.tape
    updates = (
        work.rows_of([r.worker for r in records], block)
        if taped or observes & {"updates", "utility"}
        else None
    )
    start = world.models[parent.model]
    seen = BlockObservation(
        round=world.round_index,
        miner=miner,
        records=tuple(_audited(world, work, r) for r in records)
        if taped or "work" in observes
        else records,
        memory=parent.memory,
        stakes=world.stakes,
        updates=updates,
        start=start,
        result=world.models[result],
        utility=world.utility(updates, start)
        if updates is not None and "utility" in observes
        else None,
        conduct=conduct,
    )
    if taped:
        world.recorder.add("tape", [taped_block(seen, parent.id, block)])
    settlement = world.payout.settle(seen.shown_to(observes))
    check_payments(world.payout, settlement.payments, world.scenario.devices)
    by_payee: dict[int, list[Payment]] = {}
    for p in settlement.payments:
        if p.per_device:
            by_payee.setdefault(int(p.payee), []).append(p)
    return Settled(
        {d: tuple(ps) for d, ps in by_payee.items()},
        tuple(p for p in settlement.payments if not p.per_device),
        parent.memory
        if settlement.memory is None
        else check_memory(world.payout, settlement.memory),
    )


def _audited(world: World, work: LocalWork, record: UpdateRecord) -> UpdateRecord:
    done = int(work.trained_epochs[work.row[record.worker]])
    return replace(record, verified_samples=len(world.samples(record.worker)), verified_epochs=done)


class BlockProcessor:
    """Applies blocks to chain states. Devices whose chains agree share the result, which is computed once."""

    def __init__(
        self, world: World, work: LocalWork, workers: Sequence[int], size_of: Callable[[Block], int]
    ) -> None:
        self.world, self.work, self.workers, self.size_of = world, work, workers, size_of
        self._models: dict[tuple[bytes, tuple[int, ...], bytes], int] = {}
        self._settled: dict[tuple[int, bytes], Settled] = {}

    def apply(self, state: ChainState, block: Block) -> ChainState:
        """The state after `block` on top of `state`."""
        return self.world.book.apply(state, block, self._next)

    def _next(self, state: ChainState, block: Block) -> ChainState:
        world, scenario = self.world, self.world.scenario
        when = world.round_index if scenario.blocklist.clock == "round" else block.height
        rejected, absent, blocked = shut_out(
            state, block.body.records, self.workers, when, scenario.blocklist
        )
        weight = (
            block.stake if scenario.consensus.kind == "pos" else 16**scenario.consensus.difficulty
        )
        model = self._model(state, block, blocked)
        settled = self._settle(state, block, model)
        released = release(world, state, model, block.hash, block.miner)
        return ChainState(
            id=world.book.new_id(),
            parent=state,
            height=state.height + 1,
            head=block.hash,
            weight=state.weight + weight,
            model=released.model,
            miner=block.miner,
            round=world.round_index,
            size_bytes=self.size_of(block),
            payments=settled.payments,
            moves=settled.moves,
            memory=settled.memory,
            rejected=rejected,
            absent=absent,
            blocked=blocked,
            outcomes=tally(state, block.body.records),
            versions=released.versions,
            kept=released.kept,
        )

    def _model(self, state: ChainState, block: Block, blocked: frozenset[int]) -> int:
        """Key of the global model after a block; unchanged when it holds no usable update."""
        usable = [r for r in block.body.records if r.accepted and r.worker not in blocked]
        if not usable:
            return state.model
        tampered = block.hash if block.hash in self.work.replaced else b""
        key = (
            block.body.root + tampered,
            tuple(r.worker for r in usable),
            self.world.models.digest(state.model),
        )
        if key not in self._models:
            self._models[key] = aggregate(self.world, self.work, usable, state.model, tampered)
        return self._models[key]

    def _settle(self, state: ChainState, block: Block, model: int) -> Settled:
        key = (state.id, block.hash)
        if key not in self._settled:
            self._settled[key] = settle(
                self.world, self.work, state, model, block.miner, block.body.records, block.hash
            )
        return self._settled[key]


def _as_row(row: FloatMatrix, size: int) -> FloatMatrix:
    if np.shape(row) != (size,) or not np.isfinite(row).all():
        raise ValueError(f"the aggregation rule must return {size} finite numbers")
    return np.asarray(row, dtype=np.float32)
