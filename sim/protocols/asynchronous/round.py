"""One round of asynchronous federated learning: until the server has made its next model."""

from __future__ import annotations

import dataclasses

import numpy as np

from mechanisms.vocabulary import Role, UpdateRecord
from sim.agenda import Agenda
from sim.chain.forks import ServerChain
from sim.protocols.asynchronous.settings import MixingSettings
from sim.stages import Stages
from sim.training.game import TrainingGame
from sim.training.local_work import LocalWork, do_local_work, effort_of
from sim.training.record import record_served
from sim.training.server import Server
from sim.training.settling import aggregate


class AsynchronousRound:
    """Who is free begins to train; the first updates that arrive make the next model.

    Args:
        game: the services of the run.
        chain: what the server holds.
        mixing: how it takes over what arrives.
        under_way: when the update of each training device arrives; it lasts beyond the round.
    """

    def __init__(
        self, game: TrainingGame, chain: ServerChain, mixing: MixingSettings, under_way: Agenda
    ) -> None:
        self.game, self.chain, self.mixing, self.under_way = game, chain, mixing, under_way
        self.clock = Stages(game.clock.time_s)
        self.server = Server(game, chain, self.clock, joining=())
        self.members = frozenset(game.admitted(chain.head.memory))

    def play(self) -> None:
        """Play and record the round."""
        self._begin_training()
        workers = len(self.under_way)
        arrived = self._collect()
        work = self._work(list(arrived))
        staleness = {w: self._staleness(w) for w in arrived}
        records = self._usable(work, arrived)
        if records:
            self._mix(work, records)
        self._adopt([*arrived, *self._free()])
        self.game.end_time(self.clock.last_s, happened=bool(arrived))
        used = [staleness[r.worker] for r in records]
        record_served(
            self.game,
            self.clock.start_s,
            online=self.server.online_at_start,
            workers=workers,
            work=work,
            records=records,
            compute_s=self.server.compute_s,
            own_round={
                "staleness": float(np.mean(used)) if used else None,
                "under_way": len(self.under_way),
            },
            own={d: {"staleness": staleness.get(d)} for d in range(self.game.scenario.devices)},
        )

    # --- training -----------------------------------------------------------------------------

    def _free(self) -> list[int]:
        """Return the members that are there and not training."""
        training = {event.device for event in self.under_way}
        there = self.server.online_at_start & self.members
        return sorted(there - training)

    def _begin_training(self) -> None:
        """Let every free device download the newest model and train from it."""
        game, start_s = self.game, self.clock.start_s
        for device in self._free():
            self.chain.adopt(device, self.chain.head, start_s)
            epochs = effort_of(game.population, device, game.scenario.training.epochs)
            samples = len(game.bench.samples(device))
            sent_s = 2 * self.server.send_s(device)  # the model down, the update up
            trained_s = game.network.training_s(device, samples, epochs)
            self.under_way.add(start_s + sent_s + trained_s, device)

    def _collect(self) -> dict[int, float]:
        """Return by device when its update arrived: as many as the server waits for, or all.

        The update of a device that has gone offline or lost its membership is lost.
        """
        arrived: dict[int, float] = {}
        while len(arrived) < self.mixing.buffer and len(self.under_way):
            event = self.under_way.pop()
            arrival_s = max(event.time_s, self.clock.start_s)
            self.clock.last_s = arrival_s
            if event.device in self.members and self.game.online(event.device, arrival_s):
                arrived[event.device] = arrival_s
        return arrived

    def _work(self, workers: list[int]) -> LocalWork:
        """Return what the devices trained whose updates have arrived, each from its own model."""
        game = self.game
        for p in game.population:
            p.role = Role.WORKER if p.device in workers else None
        work = do_local_work(game, workers)
        for w in workers:
            game.sent[w] += 1
            self.server.train_s(work, w)
        return work

    def _staleness(self, device: int) -> int:
        """Return how many models the server has made since a device downloaded its own."""
        return self.chain.head.height - self.chain.state(device).height

    # --- the next model -----------------------------------------------------------------------

    def _usable(self, work: LocalWork, arrived: dict[int, float]) -> tuple[UpdateRecord, ...]:
        """Return the records of updates that the server takes; the others are noted."""
        accepted = [w for w, time_s in arrived.items() if self.server.accepts(work, w, time_s)]
        for w in sorted(work.sent.duplicated):
            self.game.incidents.note(arrived[w], w, None, "duplicate")
        return self.server.usable(work, accepted, self.clock.last_s)

    def _mix(self, work: LocalWork, records: tuple[UpdateRecord, ...]) -> None:
        """Make the next model and settle the round.

        x' = x + step (A - x), where A aggregates x + s (y - x) of every model y (FedAsync), or
        x + s (y - y0) of every y that began from y0 (FedBuff); s is the weight of its staleness.
        """
        models, present = self.game.bench.models, self.chain.head.model
        x = models[present].astype(np.float64)
        rows = work.updates.astype(np.float64)
        for i, w in enumerate(work.workers):
            weight = self.mixing.weight(self._staleness(w))
            began = x if self.mixing.takes == "model" else models[self.game.forks[w].model]
            rows[i] = x + weight * (rows[i] - began)
        with np.errstate(over="ignore", invalid="ignore"):
            weighed = dataclasses.replace(work, updates=rows.astype(np.float32))
        towards = models[aggregate(self.game, weighed, records, present)]
        moved = x + self.mixing.step * (towards - x)
        self.server.advance(work, records, models.add(moved.astype(np.float32)), None)

    def _adopt(self, devices: list[int]) -> None:
        """Let devices know what the server holds now; after the last round everybody does."""
        if self.game.kernel.last_round:
            devices = [*range(self.game.scenario.devices)]
        for device in sorted({*devices}):
            self.chain.adopt(device, self.chain.head, self.clock.last_s)
