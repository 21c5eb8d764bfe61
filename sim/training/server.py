"""Rounds without a chain of their own: a server or contract that is always online."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Collection, Iterable

from mechanisms.vocabulary import Conduct, UpdateRecord
from sim.chain.forks import ServerChain
from sim.chain.state import tally
from sim.stages import Stages
from sim.training.game import TrainingGame
from sim.training.local_work import LocalWork
from sim.training.message_size import update_bytes
from sim.training.release import following, release
from sim.training.settling import settle


class Server:
    """The server of one round; it sends and receives at the speed of the device at the other end.

    `ready_s` is when each device that is there at the start can begin to train: those that missed
    the last aggregate download it first. `joining`: only these download it; None: everybody does.
    """

    def __init__(
        self,
        game: TrainingGame,
        chain: ServerChain,
        clock: Stages,
        joining: Collection[int] | None = None,
    ) -> None:
        self.game, self.chain, self.clock = game, chain, clock
        self.size = update_bytes(game.bench.engine.layout, game.scenario.network.message_size)
        self.online_at_start = game.online_at(clock.start_s)
        caught = self.online_at_start if joining is None else self.online_at_start & {*joining}
        self.ready_s = {d: self._catch_up(d) for d in sorted(caught)}
        self.compute_s: dict[int, float] = {}

    def _catch_up(self, device: int) -> float:
        """Let a device download what the server holds; return when it can begin to train."""
        start_s = self.clock.start_s
        if self.chain.state(device) is self.chain.head:
            return start_s
        self.chain.adopt(device, self.chain.head, start_s)
        return start_s + self.send_s(device)

    def send_s(self, device: int, size: float | None = None) -> float:
        """Return the seconds of a message between server and device, by default with an update."""
        size = self.size if size is None else size
        link = float(self.game.network.link[device])
        return self.game.network.latency_s + size / link

    def train_s(self, work: LocalWork, worker: int) -> float:
        """Return the seconds of local training, noted as the worker's computing time."""
        epochs = int(work.trained_epochs[work.row[worker]])
        samples = len(self.game.bench.samples(worker))
        self.compute_s[worker] = self.game.network.training_s(worker, samples, epochs)
        return self.compute_s[worker]

    def accepts(self, work: LocalWork, worker: int, time_s: float) -> bool:
        """Return whether a worker's transaction is of this round and authentic; note it if not."""
        if worker in work.sent.replayed:
            kind = "replayed"
        elif worker in work.sent.forged and self.game.scenario.chain.check_signatures:
            kind = "forged"
        else:
            return True
        self.game.incidents.note(time_s, worker, None, kind)
        return False

    def usable(
        self, work: LocalWork, arrived: Iterable[int], time_s: float
    ) -> tuple[UpdateRecord, ...]:
        """Return the records of updates that arrived and can be averaged; note the others."""
        arrived = sorted(arrived)
        finite = [w for w in arrived if work.finite[work.row[w]]]
        for w in sorted({*arrived} - {*finite}):
            self.game.incidents.note(time_s, w, None, "malformed")
        return tuple(claimed(work, w) for w in finite)

    def close(
        self,
        work: LocalWork,
        records: tuple[UpdateRecord, ...],
        model: int,
        miner: int | None,
        conduct: Conduct | None = None,
    ) -> None:
        """Settle the round with the model of this key, and send it to every online device."""
        self.advance(work, records, model, miner, conduct)
        self._send_to_all()

    def advance(
        self,
        work: LocalWork,
        records: tuple[UpdateRecord, ...],
        model: int,
        miner: int | None,
        conduct: Conduct | None = None,
    ) -> None:
        """Settle the round with the model of this key; nobody has it yet."""
        game, current = self.game, self.chain.head
        head = hashlib.sha256(current.head + game.bench.models.digest(model)).digest()
        author = -1 if miner is None else miner
        settled = settle(
            game,
            work,
            current,
            result=model,
            miner=miner,
            records=records,
            block=head,
            conduct=conduct,
        )
        released = release(
            game.bench,
            game.scenario.versions,
            current,
            model,
            block=head,
            author=author,
            round=game.clock.round,
        )
        self.chain.head = dataclasses.replace(
            following(self.chain, head, author, game.clock.round),
            model=released.model,
            payments=settled.payments,
            moves=settled.moves,
            memory=settled.memory,
            outcomes=tally(current, records),
            versions=released.versions,
            kept=released.kept,
        )

    def _send_to_all(self) -> None:
        """Let every trainer that is there when the message arrives adopt what the server holds."""
        closes_s = self.clock.last_s
        devices = self.game.scenario.trainers
        for at, device in sorted((closes_s + self.send_s(d), d) for d in devices):
            if self.game.online(device, at):
                self.chain.adopt(device, self.chain.head, at)
                self.clock.last_s = at


def claimed(work: LocalWork, worker: int) -> UpdateRecord:
    """Return what is on record of an update that counts, without votes."""
    i = work.row[worker]
    return UpdateRecord.from_votes(
        worker=worker,
        claimed_samples=int(work.sent.claimed_samples[i]),
        claimed_epochs=int(work.sent.claimed_epochs[i]),
        positive=(),
        negative=(),
    )
