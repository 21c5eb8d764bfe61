"""What rounds without a chain of their own share: a server or contract that is always there, and devices that turn to it."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from mechanisms.vocabulary import Conduct, UpdateRecord
from sim.chain.state import ChainState, tally
from sim.rounds.clock import RoundClock
from sim.rounds.local_work import LocalWork
from sim.rounds.message_size import update_bytes
from sim.rounds.processing import settle
from sim.rounds.release import release

if TYPE_CHECKING:
    from sim.world import World


class ServerRound:
    """The server sends and receives at the speed of the device at the other end. Everything here dies with the round."""

    work: LocalWork
    records: tuple[UpdateRecord, ...] = ()
    workers: list[int]

    def __init__(self, world: World) -> None:
        self.world = world
        self.round = world.round_index
        self.scenario = world.scenario
        self.start_s = world.time_s
        self.clock = RoundClock(self.start_s)
        self.compute_s: dict[int, float] = {}
        self.size = update_bytes(world.engine.layout, self.scenario.network.message_size)

    def arrive(self) -> None:
        """See who is there, and let those that missed the last aggregate download it."""
        world = self.world
        self.online_at_start = {
            p.device for p in world.participants if world.online(p.device, self.start_s)
        }
        self.ready_s = {d: self._catch_up(d) for d in sorted(self.online_at_start)}

    def _catch_up(self, device: int) -> float:
        """Returns when the device can begin to train."""
        server = self.world.canonical()
        if self.world.participants[device].state is server:
            return self.start_s
        self.world.adopt(device, server, self.start_s)
        return self.start_s + self.send_s(device)

    def send_s(self, device: int, size: int | None = None) -> float:
        """Seconds that a message between the server and a device takes, by default one that carries an update."""
        size = self.size if size is None else size
        return self.scenario.network.latency_s + size / float(self.world.network.link[device])

    def train_s(self, worker: int) -> float:
        """Seconds of local training, noted as the worker's computing time."""
        epochs = int(self.work.trained_epochs[self.work.row[worker]])
        self.compute_s[worker] = self.world.network.training_s(
            worker, len(self.world.samples(worker)), epochs
        )
        return self.compute_s[worker]

    def accepted(self, worker: int) -> bool:
        """Whether the server takes a worker's transaction: of this round, and signed by the worker; else it is noted."""
        sent, checks = self.work.sent, self.scenario.chain.check_signatures
        if worker in sent.replayed:
            self.world.note(self.clock.now, worker, None, "replayed")
        elif worker in sent.forged and checks:
            self.world.note(self.clock.now, worker, None, "forged")
        else:
            return True
        return False

    def record(self, worker: int) -> UpdateRecord:
        """What is on record of an update that counts."""
        i = self.work.row[worker]
        return UpdateRecord.from_votes(
            worker=worker,
            claimed_samples=int(self.work.sent.claimed_samples[i]),
            claimed_epochs=int(self.work.sent.claimed_epochs[i]),
            positive=(),
            negative=(),
        )

    def close(self, model: int, miner: int | None, conduct: Conduct | None = None) -> None:
        """Settle the round with the model of this key, and send it to every device that is there."""
        world, current = self.world, self.world.canonical()
        head = hashlib.sha256(current.head + world.models.digest(model)).digest()
        settled = settle(world, self.work, current, model, miner, self.records, head, conduct)
        released = release(world, current, model, head, -1 if miner is None else miner)
        new = ChainState(
            id=world.book.new_id(),
            parent=current,
            height=current.height + 1,
            head=head,
            weight=current.weight + 1,
            model=released.model,
            miner=-1 if miner is None else miner,
            round=self.round,
            payments=settled.payments,
            moves=settled.moves,
            memory=settled.memory,
            outcomes=tally(current, self.records),
            versions=released.versions,
            kept=released.kept,
        )
        world.server = new
        closes_s = self.clock.last_s
        for at, device in sorted(
            (closes_s + self.send_s(p.device), p.device) for p in world.participants
        ):
            if world.online(device, at):
                world.adopt(device, new, at)
                self.clock.last_s = at
