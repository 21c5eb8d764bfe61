"""One round of federated averaging."""

from __future__ import annotations

import math

from mechanisms.vocabulary import Role, UpdateRecord
from sim.chain.forks import ServerChain
from sim.stages import Process, Stages
from sim.training.game import TrainingGame
from sim.training.local_work import LocalWork, do_local_work
from sim.training.record import (
    GlobalAccuracy,
    participant_columns,
    record_participants,
    round_columns,
)
from sim.training.server import Server
from sim.training.settling import aggregate


class FedavgRound:
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
        self.server = Server(game, chain, self.clock)
        self.work = self._train()
        self.arrived: list[int] = []

    def _train(self) -> LocalWork:
        """Make every admitted device a worker, and train those that are there."""
        roles = dict.fromkeys(self.workers, Role.WORKER)
        for p in self.game.population:
            p.role = roles.get(p.device)
        online = self.server.online_at_start
        return do_local_work(self.game, [d for d in self.workers if d in online])

    def play(self) -> None:
        """Play and record the round."""
        for w in self.work.workers:
            self.clock.start("upload", self._upload(w))
        self.clock.run()
        records = self.server.usable(self.work, self.arrived, self.clock.last_s)
        if records:
            model = aggregate(self.game, self.work, records, self.chain.head.model)
            self.server.close(self.work, records, model, None)
        self.game.end_time(self.clock.last_s)
        self._record(records)

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

    def _record(self, records: tuple[UpdateRecord, ...]) -> None:
        """Record all rows of the round: no votes, no blocks."""
        game, server = self.game, self.server
        tested = GlobalAccuracy(game)
        own = round_columns(
            game,
            tested,
            online=server.online_at_start,
            workers=len(self.workers),
            work=self.work,
            records=records,
        )
        game.kernel.record_round(self.clock.start_s, own)
        columns = participant_columns(
            game, tested, work=self.work, records=records, compute_s=server.compute_s
        )
        record_participants(
            game, tested, server.online_at_start, columns, compute_s=server.compute_s
        )
