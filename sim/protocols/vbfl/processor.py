"""The effects of a block on a chain: next model, payments, devices shut out."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from sim.chain.block import Block
from sim.chain.state import ChainState, tally
from sim.protocols.vbfl.blocklist import shut_out
from sim.protocols.vbfl.game import VbflGame
from sim.training.local_work import LocalWork
from sim.training.release import release
from sim.training.settling import Settled, aggregate, settle


class BlockProcessor:
    """Applies blocks to chain states.

    Devices whose chains agree share the result, which is computed once.

    Args:
        game: the services of the run.
        work: the updates of the round.
        workers: all devices that were drawn as workers.
        size_of: how many bytes a block has on the wire.
    """

    def __init__(
        self,
        game: VbflGame,
        work: LocalWork,
        workers: Sequence[int],
        size_of: Callable[[Block], int],
    ) -> None:
        self.game, self.work, self.workers, self.size_of = game, work, workers, size_of
        self._models: dict[tuple[bytes, tuple[int, ...], bytes], int] = {}
        self._settled: dict[tuple[int, bytes], Settled] = {}

    def apply(self, state: ChainState, block: Block) -> ChainState:
        """Return the state after `block` on top of `state`."""
        return self.game.forks.book.apply(state, block, self._next)

    def _next(self, state: ChainState, block: Block) -> ChainState:
        game, scenario, records = self.game, self.game.scenario, block.body.records
        when = block.height if scenario.blocklist.clock == "block" else game.clock.round
        rejected, absent, blocked = shut_out(state, records, self.workers, when, scenario.blocklist)
        pos = scenario.consensus.kind == "pos"
        weight = block.stake if pos else 16**scenario.consensus.difficulty
        model = self._model(state, block, blocked)
        settled = self._settle(state, block, model)
        released = release(
            game.bench,
            scenario.versions,
            state,
            model,
            block=block.hash,
            author=block.miner,
            round=game.clock.round,
        )
        return ChainState(
            id=game.forks.book.new_id(),
            parent=state,
            height=state.height + 1,
            head=block.hash,
            weight=state.weight + weight,
            model=released.model,
            miner=block.miner,
            round=game.clock.round,
            size_bytes=self.size_of(block),
            payments=settled.payments,
            moves=settled.moves,
            memory=settled.memory,
            rejected=rejected,
            absent=absent,
            blocked=blocked,
            outcomes=tally(state, records),
            versions=released.versions,
            kept=released.kept,
        )

    def _model(self, state: ChainState, block: Block, blocked: frozenset[int]) -> int:
        """Return the key of the global model after a block; unchanged without a usable update."""
        usable = [r for r in block.body.records if r.accepted and r.worker not in blocked]
        if not usable:
            return state.model
        tampered = block.hash if block.hash in self.work.replaced else b""
        workers = tuple(r.worker for r in usable)
        key = (block.body.root + tampered, workers, self.game.bench.models.digest(state.model))
        if key not in self._models:
            self._models[key] = aggregate(self.game, self.work, usable, state.model, tampered)
        return self._models[key]

    def _settle(self, state: ChainState, block: Block, model: int) -> Settled:
        key = (state.id, block.hash)
        if key not in self._settled:
            self._settled[key] = settle(
                self.game,
                self.work,
                state,
                result=model,
                miner=block.miner,
                records=block.body.records,
                block=block.hash,
            )
        return self._settled[key]
