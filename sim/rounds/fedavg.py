"""Vanilla federated averaging: every device trains, a server averages what arrives, nobody validates.

McMahan et al. 2017, arXiv:1602.05629, algorithm 1 with C = 1; the baseline of the VBFL paper.
"""

from __future__ import annotations

import hashlib
import math
from typing import TYPE_CHECKING

from mechanisms.vocabulary import Role, UpdateRecord
from sim.chain.state import ChainState
from sim.rounds.clock import Process, RoundClock
from sim.rounds.local_work import do_local_work
from sim.rounds.message_size import update_bytes
from sim.rounds.processing import aggregate, settle

if TYPE_CHECKING:
    from sim.world import World


class FedavgRound:
    """One round with a server that is always there and sends at the speed of the device at the other end."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.scenario = world.scenario
        self.start_s = world.time_s
        self.clock = RoundClock(self.start_s)
        self.arrived: list[int] = []
        self.compute_s: dict[int, float] = {}
        self.first_entry = len(world.ledger.journal)

    def play(self) -> None:
        """The whole round."""
        world = self.world
        self.online_at_start = {p.device for p in world.participants if world.online(p.device, self.start_s)}
        members = world.payout.members(world.canonical().memory)
        self.workers = [d for d in range(self.scenario.devices) if members is None or d in members]
        for p in world.participants:
            p.role = Role.WORKER if members is None or p.device in members else None
        self.size = update_bytes(world.engine.layout, self.scenario.network.message_size)
        self.ready_s = {d: self._catch_up(d) for d in sorted(self.online_at_start)}
        self.work = do_local_work(world, [d for d in self.workers if d in self.online_at_start], [])
        for w in self.work.workers:
            self.clock.start("upload", self._work(w))
        self.clock.run()
        self._aggregate()
        world.finish_round(self.clock.last_s)

    def _catch_up(self, device: int) -> float:
        """A device that missed the last aggregate downloads it first; returns when it can begin to train."""
        server = self.world.canonical()
        if self.world.participants[device].state is server:
            return self.start_s
        self.world.adopt(device, server, self.start_s)
        return self.start_s + self._send_s(device)

    def _send_s(self, device: int) -> float:
        return self.scenario.network.latency_s + self.size / float(self.world.network.link[device])

    def _work(self, w: int) -> Process:
        clock, world = self.clock, self.world
        train_s = world.network.training_s(w, len(world.samples(w)), int(self.work.trained_epochs[self.work.row[w]]))
        self.compute_s[w] = train_s
        arrival_s = self.ready_s[w] + train_s + self._send_s(w)
        ends_s = self.start_s + self.scenario.deadlines.validator_s
        yield clock.until(min(arrival_s, ends_s))
        if arrival_s <= ends_s and world.online(w, arrival_s):
            self.arrived.append(w)
        elif ends_s < math.inf:
            # The server cannot know that this one will not come: it waits until its deadline.
            yield clock.until(ends_s)
        clock.act()

    def _aggregate(self) -> None:
        """Average the finite rows that arrived; every device that is there downloads the result."""
        world, work = self.world, self.work
        usable = [w for w in sorted(self.arrived) if work.finite[work.row[w]]]
        self.records = tuple(
            UpdateRecord(w, int(work.claimed_samples[work.row[w]]), int(work.claimed_epochs[work.row[w]]), (), ()) for w in usable
        )
        if not usable:
            return
        current = world.canonical()
        model = aggregate(world, work, self.records, current.model)
        head = hashlib.sha256(current.head + world.models.digest(model)).digest()
        settled = settle(world, work, current, model, None, self.records, head)
        new = ChainState(
            id=world.book.new_id(),
            parent=current,
            height=current.height + 1,
            head=head,
            weight=current.weight + 1,
            model=model,
            round=world.round_index,
            payments=settled.payments,
            moves=settled.moves,
            memory=settled.memory,
        )
        world.server = new
        closes_s = self.clock.last_s
        for at, device in sorted((closes_s + self._send_s(p.device), p.device) for p in world.participants):
            if world.online(device, at):
                world.adopt(device, new, at)
                self.clock.last_s = at
