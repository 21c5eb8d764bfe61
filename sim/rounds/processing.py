"""What accepted updates and a block come to: the next model, who is paid, who is shut out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from mechanisms.vocabulary import AggregationObservation, BlockObservation, FloatMatrix, Payment, UpdateRecord
from sim.chain.block import Block
from sim.chain.state import ChainState, shut_out
from sim.ledger import ISSUANCE
from sim.rounds.local_work import LocalWork

if TYPE_CHECKING:
    from sim.world import World


def aggregate(world: World, work: LocalWork, records: Sequence[UpdateRecord], start: int, block: bytes = b"") -> int:
    """Key of the model that the aggregation rule makes of the updates of `records`, from the model with key `start`.

    `block` is the hash of the block that carries them, where there is one.

    Raises ValueError when the rule returns something else than one finite row.
    """
    seen = AggregationObservation(
        world.round_index,
        tuple(r.worker for r in records),
        work.rows_of([r.worker for r in records], block),
        np.array([r.claimed_samples for r in records], dtype=np.int64),
        world.models[start],
        world.root_update(start) if "root" in world.aggregation.observes else None,
    )
    for transform in world.transforms:
        seen = replace(seen, updates=transform.apply(seen))
    return world.models.add(_as_row(world.aggregation.aggregate(seen), world.engine.size))


def settle(world: World, miner: int | None, records: tuple[UpdateRecord, ...]) -> dict[int, tuple[Payment, ...]]:
    """Payments of the payout rule by payee. Raises ValueError for a payment that nobody could receive or make."""
    by_payee: dict[int, list[Payment]] = {}
    seen = BlockObservation(world.round_index, miner, records).shown_to(world.payout.observes)
    for p in world.payout.settle(seen):
        if type(p.payee) is not int or not 0 <= p.payee < world.scenario.devices:
            raise ValueError(f"{world.payout!r} pays device {p.payee!r}, there are 0..{world.scenario.devices - 1}")
        if type(p.amount) is not int or not 0 <= p.amount < 2**63:
            raise ValueError(f"{world.payout!r} pays {p.amount!r}, should be an integer of base units in 0..2**63 - 1")
        if p.payer != ISSUANCE:
            raise ValueError(f"{world.payout!r} pays from {p.payer!r}, only {ISSUANCE!r} can pay")
        by_payee.setdefault(p.payee, []).append(p)
    return {d: tuple(ps) for d, ps in by_payee.items()}


class BlockProcessor:
    """Applies blocks to chain states. Devices whose chains agree share the result, which is computed once."""

    def __init__(self, world: World, work: LocalWork, workers: Sequence[int], size_of: Callable[[Block], int]) -> None:
        self.world, self.work, self.workers, self.size_of = world, work, workers, size_of
        self._models: dict[tuple[bytes, tuple[int, ...], bytes], int] = {}
        self._payments: dict[bytes, dict[int, tuple[Payment, ...]]] = {}

    def apply(self, state: ChainState, block: Block) -> ChainState:
        """The state after `block` on top of `state`."""
        return self.world.book.apply(state, block, self._next)

    def _next(self, state: ChainState, block: Block) -> ChainState:
        world, scenario = self.world, self.world.scenario
        when = world.round_index if scenario.blocklist.clock == "round" else block.height
        rejected, absent, blocked = shut_out(state, block.body.records, self.workers, when, scenario.blocklist)
        weight = block.stake if scenario.consensus.kind == "pos" else 16**scenario.consensus.difficulty
        return ChainState(
            id=world.book.new_id(),
            parent=state,
            height=state.height + 1,
            head=block.hash,
            weight=state.weight + weight,
            model=self._model(state, block, blocked),
            miner=block.miner,
            round=world.round_index,
            size_bytes=self.size_of(block),
            payments=self._pay(block),
            rejected=rejected,
            absent=absent,
            blocked=blocked,
        )

    def _model(self, state: ChainState, block: Block, blocked: frozenset[int]) -> int:
        """Key of the global model after a block; unchanged when it holds no usable update."""
        usable = [r for r in block.body.records if r.accepted and r.worker not in blocked]
        if not usable:
            return state.model
        tampered = block.hash if block.hash in self.work.replaced else b""
        key = (block.body.root + tampered, tuple(r.worker for r in usable), self.world.models.digest(state.model))
        if key not in self._models:
            self._models[key] = aggregate(self.world, self.work, usable, state.model, tampered)
        return self._models[key]

    def _pay(self, block: Block) -> dict[int, tuple[Payment, ...]]:
        if block.hash not in self._payments:
            self._payments[block.hash] = settle(self.world, block.miner, block.body.records)
        return self._payments[block.hash]


def _as_row(row: FloatMatrix, size: int) -> FloatMatrix:
    if np.shape(row) != (size,) or not np.isfinite(row).all():
        raise ValueError(f"the aggregation rule must return {size} finite numbers")
    return np.asarray(row, dtype=np.float32)
