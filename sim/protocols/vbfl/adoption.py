"""Adoption of a block: who accepts it, fetches it and appends it, and when."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sim.chain.block import Block
from sim.learning.engine import row_digest
from sim.protocols.vbfl.delivery import Delivery
from sim.protocols.vbfl.processor import BlockProcessor


class Adoption:
    """The stage in which devices take a block and append it.

    `won[m]` is the block that miner m has taken, `appended[d]` the one that device d has appended.

    `adopted_s` is when the last device appended one.
    """

    def __init__(self, delivery: Delivery) -> None:
        self.delivery, self.plan = delivery, delivery.plan
        self.won: dict[int, Block] = {}
        self.appended: dict[int, Block] = {}
        self.adopted_s = self.plan.start_s
        game, work, workers = self.plan.game, self.plan.work, self.plan.seats.workers
        self._processor = BlockProcessor(game, work, workers, self.block_bytes)
        self._authentic: dict[bytes, bool] = {}

    def block_bytes(self, block: Block) -> int:
        """Return the size of a block on the wire.

        It carries the updates, or the digests of those that are in the store.
        """
        game = self.plan.game
        payload = 0 if game.store.off_chain else self.plan.update_bytes
        carried = len(block.body.updates) * (payload - game.bench.engine.size * 4)
        return block.size_bytes + carried

    def win(self, m: int, block: Block) -> None:
        """Let a miner append its winner and send it to the devices associated with it."""
        self.won[m] = block
        self._fetch_and_append(m, block)
        size = self.block_bytes(block)
        for device, miner in self.plan.seats.miner_of.items():
            if miner == m:
                delay_s = self.plan.game.network.delay(m, device, size)
                arrival_s = self.plan.clock.now + delay_s
                self.plan.clock.at(None, arrival_s, self._download, device, block)

    def not_ready(self, device: int, action: Callable[..., None], *args: Any) -> bool:
        """Return whether a device is still fetching the chain under a block.

        The action is called again when it has it.
        """
        ready_s = self.plan.ready_s.get(device, self.plan.start_s)
        wait = ready_s > self.plan.clock.now
        if wait:
            self.plan.clock.at(None, ready_s, action, *args)
        return wait

    def holds(self, device: int, block: Block) -> bool:
        """Return whether a device accepts a block.

        It must come from a miner that may publish and is not shut out, be linked to the device's
        head, and be authentic.
        """
        game = self.plan.game
        state, checks = game.forks.state(device), game.scenario.chain
        publishers = game.scenario.versions.publishers
        if block.miner in state.blocked or (publishers and block.miner not in publishers):
            return False
        if checks.check_links and block.previous != state.head:
            return False
        if not checks.check_signatures:
            return True
        if block.hash not in self._authentic:
            authentic = block.authentic(game.keys, self._payload_digests(block))
            self._authentic[block.hash] = authentic
            if not authentic:
                now = self.plan.clock.now
                game.incidents.note(now, block.miner, device, "tampered-block")
        return self._authentic[block.hash]

    def _payload_digests(self, block: Block) -> dict[int, bytes]:
        """Return the digests of the bytes that a block really carries, tampering included."""
        work = self.plan.work
        replaced = work.replaced.get(block.hash, {})
        digests = {}
        for u in block.body.updates:
            if u.worker in replaced:
                digests[u.worker] = row_digest(replaced[u.worker])
            else:
                digests[u.worker] = work.digests[work.row[u.worker]]
        return digests

    # --- downloading --------------------------------------------------------------------------

    def _download(self, device: int, block: Block) -> None:
        if self.not_ready(device, self._download, device, block):
            return
        if self.plan.online(device) and self.holds(device, block):
            self._fetch_and_append(device, block)

    def _fetch_and_append(self, device: int, block: Block) -> None:
        """Append a valid block once the device has all accepted updates.

        It fetches those that it has not trained or judged itself.
        """
        store = self.plan.game.store
        missing = 0
        if store.off_chain:
            accepted = {r.worker for r in block.body.records if r.accepted} - {device}
            missing = sum((device, w) not in self.delivery.fetched for w in accepted)
        if not missing:
            self._append(device, block)
            return
        fetched_s = self.plan.clock.now + store.seconds(device, missing, self.plan.update_bytes)
        self.plan.clock.at(None, fetched_s, self._append_fetched, device, block)

    def _append_fetched(self, device: int, block: Block) -> None:
        if self.plan.online(device) and self.holds(device, block):
            self._append(device, block)

    def _append(self, device: int, block: Block) -> None:
        forks, now = self.plan.game.forks, self.plan.clock.now
        after = self._processor.apply(forks.state(device), block)
        forks.adopt(device, after, now)
        self.appended[device] = block
        self.adopted_s = now
