"""One round of vertical federated learning."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mechanisms.geometry import finite_rows
from mechanisms.vocabulary import FloatMatrix, Role
from sim.chain.forks import ServerChain
from sim.learning.engine import row_digest
from sim.learning.job import TrainingJob
from sim.protocols.vertical.parties import Parties
from sim.protocols.vertical.settings import LABELS
from sim.stages import Stages
from sim.training.game import TrainingGame
from sim.training.local_work import LocalWork, effort_of
from sim.training.record import record_served
from sim.training.server import Server
from sim.training.submissions import submit_into

FLOAT_BYTES = 4


class VerticalRound:
    """The parties that are there train together, batch by batch.

    A party that is not there counts as if its features were 0, and keeps its weights; one that
    stops training early keeps its weights from then on, and is still heard. Without the party that
    has the labels nobody trains.

    Args:
        game: the services of the run.
        chain: what the parties agreed on last.
        bench: who owns which part of the model.
    """

    def __init__(self, game: TrainingGame, chain: ServerChain, bench: Parties) -> None:
        self.game, self.chain, self.bench = game, chain, bench
        self.clock = Stages(game.clock.time_s)
        self.server = Server(game, chain, self.clock, joining=())
        there = self.server.online_at_start
        self.parties = [d for d in game.admitted(chain.head.memory) if d in there]
        if LABELS not in self.parties:
            self.parties = []
        for p in game.population:
            p.role = Role.WORKER if p.device in self.parties else None

    def play(self) -> None:
        """Play and record the round."""
        game = self.game
        work = self._work()
        self._take_time(work)
        accepted = [w for w in self.parties if self.server.accepts(work, w, self.clock.last_s)]
        records = self.server.usable(work, accepted, self.clock.last_s)
        if records:
            parties = [r.worker for r in records]
            start = game.bench.models[self.chain.head.model]
            model = self.bench.composed(start, work.rows_of(parties), parties)
            self.server.advance(work, records, game.bench.models.add(model), None)
        for device in range(game.scenario.devices):
            self.chain.adopt(device, self.chain.head, self.clock.last_s)
        game.end_time(self.clock.last_s)
        features = [len(part) for part in self.bench.features]
        record_served(
            game,
            self.clock.start_s,
            online=self.server.online_at_start,
            workers=len(self.parties),
            work=work,
            records=records,
            compute_s=self.server.compute_s,
            own={device: {"features": n} for device, n in enumerate(features)},
        )

    # --- training -----------------------------------------------------------------------------

    def _work(self) -> LocalWork:
        """Train together, then let behaviours decide what becomes of their own parts."""
        game, parties, own = self.game, self.parties, self.bench.own
        asked = game.scenario.training.epochs
        effort = np.array([effort_of(game.population, p, asked) for p in parties], dtype=np.int64)
        start = game.bench.models[self.chain.head.model]
        updates = np.tile(start, (len(parties), 1))
        if parties:
            trained = self._train(start, effort)
            for i, party in enumerate(parties):
                updates[i, own[party]] = trained[own[party]]
        sent = submit_into(game, parties, updates, effort, sealed=False)
        # Nobody can write what belongs to another.
        for i, party in enumerate(parties):
            updates[i, ~own[party]] = start[~own[party]]
            game.sent[party] += 1
        updates.setflags(write=False)
        return LocalWork(
            workers=parties,
            updates=updates,
            digests=[row_digest(row) for row in updates],
            finite=finite_rows(updates) & sent.believable,
            trained_epochs=effort,
            sent=sent,
            validators=[],
            baselines=updates[:0],
        )

    def _train(self, start: FloatMatrix, effort: NDArray[np.int64]) -> FloatMatrix:
        """Return the model `[P]` after the epochs of the round."""
        game, now = self.game, self.game.clock.round
        asked = game.scenario.training.epochs
        rng = game.streams.rng("training", now)
        samples = self.bench.split.train[LABELS]
        order = np.stack([rng.permutation(samples) for _ in range(asked)])
        seed = game.streams.seed63("training.seed", now)
        absent = np.ones(game.scenario.devices, dtype=np.bool_)
        absent[self.parties] = False
        if not absent.any() and (effort == asked).all():
            return self.bench.engine.train([TrainingJob(start, order, seed)])[0]

        # Somebody keeps its weights: they are put back after every batch.
        model = np.where(self.bench.own[absent].any(axis=0), np.float32(0), start)
        for epoch in range(asked):
            resting = absent.copy()
            resting[np.array(self.parties)[effort <= epoch]] = True
            kept = self.bench.own[resting].any(axis=0)
            size = game.scenario.training.batch_size
            for at in range(0, order.shape[1], size):
                batch = order[epoch : epoch + 1, at : at + size]
                moved = self.bench.engine.train([TrainingJob(model, batch, seed)])[0]
                model = np.where(kept, model, moved)
        return model

    def _take_time(self, work: LocalWork) -> None:
        """Move the clock over all batches: computing, sending, and the gradients that come back.

        Each party computes its share of the features; a batch takes as long as its slowest party.
        """
        game, bench, n = self.game, self.bench, len(self.bench.split.train[LABELS])
        settings = game.scenario.training
        total = sum(len(part) for part in bench.features)
        slowest = 0.0
        for i, party in enumerate(self.parties):
            share = len(bench.features[party]) / total
            epochs = int(work.trained_epochs[i])
            self.server.compute_s[party] = share * game.network.training_s(party, n, epochs)
            computing = share * game.network.training_s(party, n, 1)
            batches = -(-n // settings.batch_size)
            size = FLOAT_BYTES * bench.hidden * n / batches
            sending = 0.0
            if party != LABELS:
                sending = 2 * batches * self.server.send_s(party, size)
            slowest = max(slowest, computing + sending)
        self.clock.last_s += settings.epochs * slowest
