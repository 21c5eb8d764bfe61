"""One round of federated averaging: contributors train, a server averages, rules pay."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from mechanisms.vocabulary import Role, UpdateRecord
from sim.chain.forks import ServerChain
from sim.stages import Process, Stages
from sim.training.game import TrainingGame
from sim.training.local_work import LocalWork, do_local_work
from sim.training.record import record_served
from sim.training.server import Server
from sim.training.settling import aggregate


class AveragingRound:
    """Devices train and upload; the server averages what has arrived by its deadline.

    Args:
        game: the services of the run.
        chain: what the server holds.
        deadline_s: how long the server waits, in seconds after the round's start.
    """

    def __init__(self, game: TrainingGame, chain: ServerChain, deadline_s: float) -> None:
        self.game, self.chain = game, chain
        self.clock = Stages(game.clock.time_s)
        self.ends_s = self.clock.start_s + deadline_s
        self.workers = game.admitted(chain.head.memory)
        self.server = Server(game, chain, self.clock, game.scenario.trainers)
        self.work = self._train()
        self.arrived: list[int] = []
        self.records: tuple[UpdateRecord, ...] = ()

    def _train(self) -> LocalWork:
        """Make every admitted device a worker, and train those that are there."""
        roles = dict.fromkeys(self.workers, Role.WORKER)
        for p in self.game.population:
            p.role = roles.get(p.device)
        online = self.server.online_at_start
        return do_local_work(self.game, [d for d in self.workers if d in online])

    def play(self) -> None:
        """Play and record the round."""
        self.contribute()
        self.game.end_time(self.clock.last_s)
        self.record()

    def contribute(self) -> None:
        """Train, upload, average and settle; the clock of the run stays where it is."""
        for w in self.work.workers:
            self.clock.start("upload", self._upload(w))
        self.clock.run()
        self.records = self.server.usable(self.work, self.arrived, self.clock.last_s)
        if self.records:
            model = aggregate(self.game, self.work, self.records, self.chain.head.model)
            self.server.close(self.work, self.records, model, None)

    def _upload(self, w: int) -> Process:
        """Train, and send the update to the server."""
        game, clock, server = self.game, self.clock, self.server
        trained_s = server.ready_s[w] + server.train_s(self.work, w)
        arrival_s = trained_s + server.send_s(w)
        if trained_s <= self.ends_s and game.online(w, trained_s):
            game.sent[w] += 1
        yield clock.until(min(arrival_s, self.ends_s))
        if arrival_s <= self.ends_s and game.online(w, arrival_s):
            if server.accepts(self.work, w, clock.now):
                self.arrived.append(w)
            if w in self.work.sent.duplicated:
                game.incidents.note(arrival_s, w, None, "duplicate")
        elif self.ends_s < math.inf:
            # The server cannot know that this one will not come: it waits until its deadline.
            yield clock.until(self.ends_s)
        clock.act()

    def record(
        self,
        round_own: Mapping[str, Any] | None = None,
        device_own: Mapping[int, Mapping[str, Any]] | None = None,
        benefit: Mapping[int, float] | None = None,
        effort: Mapping[int, float] | None = None,
    ) -> None:
        """Record all rows of the round: no votes, no blocks.

        Args:
            round_own: more columns of `rounds`.
            device_own: by device more columns of `participants`.
            benefit: base units that the round is worth to a device beside its income.
            effort: base units of work beside computing, by device.
        """
        record_served(
            self.game,
            self.clock.start_s,
            online=self.server.online_at_start,
            workers=len(self.workers),
            work=self.work,
            records=self.records,
            compute_s=self.server.compute_s,
            own_round=round_own,
            own=device_own,
            benefit=benefit,
            effort=effort,
        )
