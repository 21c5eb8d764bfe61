"""From votes to blocks: miners assemble, race or compare stakes, and take a winner."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from mechanisms.consensus import Candidate, mining_time_s, rank_by_stake
from mechanisms.vocabulary import MiningDecision
from sim.chain.block import Block, BlockBody
from sim.protocols.vbfl.adoption import Adoption
from sim.protocols.vbfl.delivery import Delivery
from sim.protocols.vbfl.plan import CHOOSING, MINING, VALIDATION
from sim.stages import Process
from sim.training.decisions import decide


class Mining:
    """The stage in which miners assemble blocks and one wins.

    `published` are the blocks sent, each with the times at which it reaches the miners; `withheld`
    those that were not.
    """

    def __init__(self, delivery: Delivery, adoption: Adoption) -> None:
        self.delivery, self.adoption, self.plan = delivery, adoption, delivery.plan
        self.published: list[tuple[Block, NDArray[np.float64]]] = []
        self.withheld: list[Block] = []
        clock, deadlines = self.plan.clock, self.plan.game.scenario.deadlines
        self._first_block = {m: clock.event() for m in self.plan.miners}
        self._bodies: dict[tuple[bytes, frozenset[int]], BlockBody] = {}
        self._votes_end_s = self.plan.start_s + deadlines.miner_s
        self._blocks_end_s = self.plan.start_s + deadlines.block_s

    @property
    def _proof_of_work(self) -> bool:
        return self.plan.game.scenario.consensus.kind == "pow"

    def start(self) -> None:
        """Schedule all miners that are there."""
        clock, miners = self.plan.clock, self.plan.miners
        clock.at(MINING, clock.now, lambda: None)
        for m in miners:
            clock.start(MINING, self._mine(m))
        if not self._proof_of_work:
            for m in miners:
                clock.start(CHOOSING, self._choose(m))

    # --- making a block -----------------------------------------------------------------------

    def _mine(self, m: int) -> Process:
        """Wait for all votes or the deadline, assemble, decide, and send or race."""
        # Wait.
        clock, deadline = self.plan.clock, self._votes_end_s
        closed = clock.stage(VALIDATION)
        yield closed if math.isinf(deadline) else closed | clock.until(deadline)
        column = self.delivery.arrivals[:, self.delivery.miner_index[m]]
        in_time = column[(column <= deadline) & np.isfinite(column)]
        if in_time.size and in_time.max() > clock.now:
            yield clock.until(float(in_time.max()))
        if clock.now < self.plan.ready_s[m]:
            yield clock.until(self.plan.ready_s[m])
        if not self.plan.online(m):
            return

        # Assemble and decide.
        arrived = column <= min(clock.now, deadline)
        body = self._assemble(m, arrived)
        decision = decide(self.plan.game, self.plan.work, m, body.records)
        if decision.censored:
            body = self._assemble(m, arrived, decision.censored)

        # Race.
        if self._proof_of_work:
            found_s = clock.now + self._race_s(m)
            if found_s > self._blocks_end_s:
                return
            beaten = self._first_block[m]
            yield clock.until(found_s) | beaten
            if beaten.triggered:
                return
        clock.act()
        self._publish(m, body, decision)

    def _race_s(self, m: int) -> float:
        """Return how long a miner's proof of work takes."""
        game, network = self.plan.game, self.plan.game.scenario.network
        rate = network.hashes_per_s * game.network.compute[m] / network.compute_samples_per_s
        rng = game.streams.rng("mining", m, game.clock.round)
        return mining_time_s(game.scenario.consensus.difficulty, rate, rng)

    def _publish(self, m: int, body: BlockBody, decision: MiningDecision) -> None:
        """Sign a block and send it to all miners, unless its miner withholds it."""
        game, clock = self.plan.game, self.plan.clock
        state, stake = game.forks.state(m), game.treasury.balance(m)
        block = Block(game.clock.round, state.height + 1, state.head, m, stake, body, clock.now)
        block = block.signed(game.keys)
        # In a store updates are found by digest: a miner cannot give a digest other bytes.
        if decision.replaced and not game.store.off_chain:
            self.plan.work.tamper(block.hash, decision.replaced)
        if not decision.publish:
            self.withheld.append(block)
            return
        size = self.adoption.block_bytes(block)
        arrivals = self.delivery.arrivals_at_miners(m, size)
        self.published.append((block, arrivals))
        if not self._proof_of_work:
            return
        for j, other in enumerate(self.plan.miners):
            if arrivals[j] <= self._blocks_end_s:
                clock.at(None, float(arrivals[j]), self._first_block_wins, other, block)

    def _assemble(
        self, m: int, arrived: NDArray[np.bool_], censored: frozenset[int] = frozenset()
    ) -> BlockBody:
        """Return the body that a miner builds from the votes it has.

        Malformed updates and shut-out workers are left out.
        """
        left_out = self.plan.game.forks.state(m).blocked | censored
        key = (arrived.tobytes(), left_out)
        if key in self._bodies:
            return self._bodies[key]
        votes = []
        for i in np.flatnonzero(arrived).tolist():
            ballot = self.delivery.cells[i]
            if not self.plan.work.finite[self.plan.work.row[ballot.worker]]:
                if ballot.status != "malformed":
                    now = self.plan.clock.now
                    self.plan.game.incidents.note(now, ballot.worker, m, "malformed")
                ballot.status = "malformed"
            elif ballot.worker in left_out:
                ballot.status = "censored" if ballot.worker in censored else "blocked"
            elif ballot.transaction is not None:
                votes.append(ballot.transaction)
        votes.sort(key=lambda v: (v.worker, v.validator))
        workers = sorted({v.worker for v in votes})
        updates = tuple(self.plan.updates[w] for w in workers)
        self._bodies[key] = BlockBody(updates, tuple(votes))
        return self._bodies[key]

    # --- taking a winner ----------------------------------------------------------------------

    def _first_block_wins(self, m: int, block: Block) -> None:
        """Let a miner take the first valid block that arrives in time (proof of work)."""
        if self.adoption.not_ready(m, self._first_block_wins, m, block):
            return
        if m in self.adoption.won or not self.plan.online(m):
            return
        if self.adoption.holds(m, block):
            self._first_block[m].succeed()
            self.adoption.win(m, block)

    def _choose(self, m: int) -> Process:
        """Let a miner take the best valid block (proof of stake).

        It waits until all candidates are there or the deadline is past.
        """
        # Wait.
        clock, game, deadline = self.plan.clock, self.plan.game, self._blocks_end_s
        closed = clock.stage(MINING)
        yield closed if math.isinf(deadline) else closed | clock.until(deadline)
        j = self.delivery.miner_index[m]
        # Blocks that never reach this miner arrive at infinity, also without a deadline. Those of
        # shut-out miners are not even filed: by stake, one could take the place of a valid block.
        known = []
        for block, arrivals in self.published:
            filed = self._listen_to_each_other(m, block.miner)
            if filed and arrivals[j] <= deadline and arrivals[j] < np.inf:
                known.append((block, float(arrivals[j])))
        latest = max((at for _, at in known), default=clock.now)
        latest = max(latest, self.plan.ready_s[m])
        if latest > clock.now:
            yield clock.until(latest)
        if not self.plan.online(m):
            return

        # Choose.
        candidates = [Candidate(b.stake, at, game.keys.public[b.miner]) for b, at in known]
        head, rule = game.forks.state(m).head, game.scenario.consensus.tie_rule
        for i in rank_by_stake(candidates, head, rule):
            block, _ = known[i]
            if self.adoption.holds(m, block):
                self.adoption.win(m, block)
                return

    def _listen_to_each_other(self, m: int, other: int) -> bool:
        """Return whether neither of two miners has shut the other out."""
        forks = self.plan.game.forks
        return other not in forks.state(m).blocked and m not in forks.state(other).blocked
