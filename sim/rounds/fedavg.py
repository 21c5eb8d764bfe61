"""Vanilla federated averaging: every device trains, a server averages what arrives, nobody validates.

McMahan et al. 2017, arXiv:1602.05629, algorithm 1 with C = 1; the baseline of the VBFL paper.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from mechanisms.vocabulary import Role
from sim.rounds.clock import Process
from sim.rounds.local_work import do_local_work
from sim.rounds.processing import aggregate
from sim.rounds.server import ServerRound

if TYPE_CHECKING:
    from sim.world import World


class FedavgRound(ServerRound):
    """One round with a server."""

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self.arrived: list[int] = []

    def play(self) -> None:
        """The whole round."""
        world = self.world
        self.workers = world.admitted(world.canonical().memory)
        self.arrive()
        roles = dict.fromkeys(self.workers, Role.WORKER)
        for p in world.participants:
            p.role = roles.get(p.device)
        self.work = do_local_work(world, [d for d in self.workers if d in self.online_at_start], [])
        for w in self.work.workers:
            self.clock.start("upload", self._work(w))
        self.clock.run()
        self._aggregate()
        world.finish_round(self.clock.last_s)

    def _work(self, w: int) -> Process:
        clock = self.clock
        trained_s = self.ready_s[w] + self.train_s(w)
        arrival_s = trained_s + self.send_s(w)
        ends_s = self.start_s + self.scenario.deadlines.validator_s
        self.world.sent[w] += trained_s <= ends_s and self.world.online(w, trained_s)
        yield clock.until(min(arrival_s, ends_s))
        if arrival_s <= ends_s and self.world.online(w, arrival_s):
            if self.accepted(w):
                self.arrived.append(w)
            if w in self.work.sent.duplicated:
                self.world.note(arrival_s, w, None, "duplicate")
        elif ends_s < math.inf:
            # The server cannot know that this one will not come: it waits until its deadline.
            yield clock.until(ends_s)
        clock.act()

    def _aggregate(self) -> None:
        """Average the finite rows that arrived; every device that is there downloads the result."""
        usable = [w for w in sorted(self.arrived) if self.work.finite[self.work.row[w]]]
        for w in sorted(set(self.arrived) - set(usable)):
            self.world.note(self.clock.last_s, w, None, "malformed")
        self.records = tuple(self.record(w) for w in usable)
        if self.records:
            self.close(
                aggregate(self.world, self.work, self.records, self.world.canonical().model), None
            )
