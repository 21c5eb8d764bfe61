"""Engineers download the master model, train it on public samples, and submit versions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from agents.engineers.base import Engineer
from mechanisms import answers
from mechanisms.vocabulary import DownloadObservation, EngineerObservation, FloatMatrix
from sim.learning.job import TrainingJob
from sim.protocols.collective.economy import CHARGE, Economy, PartyRole
from sim.protocols.collective.funding import ENGINEERS
from sim.protocols.collective.settings import ENGINEER
from sim.training.server import Server


class Candidate(NamedTuple):
    """A version that was submitted: its author, and its key in the store of models."""

    author: int
    model: int


class Engineering:
    """The engineers' stage of a round.

    Args:
        economy: the run.
        server: of the round's contributors; engineers send at the same speed, and their computing
            is noted there.
    """

    def __init__(self, economy: Economy, server: Server) -> None:
        self.economy, self.game, self.server = economy, economy.game, server

    def play(self) -> list[Candidate]:
        """Let engineers work; return what they submit, in the order of their numbers."""
        working = [d for d in self.economy.online(ENGINEER) if self._downloads(d)]
        if not working:
            return []
        rows = self._train(working)
        submitted = [(d, self._submission(d, row)) for d, row in zip(working, rows, strict=True)]
        return [
            Candidate(d, self.game.bench.models.add(row)) for d, row in submitted if row is not None
        ]

    def _behaviour(self, device: int) -> Engineer:
        behaviour: Engineer = self.game.population[device].behaviour("engineer")
        return behaviour

    def _downloads(self, device: int) -> bool:
        """Ask an engineer whether it pays for the master model, and hand it over."""
        game, charge = self.game, int(self.economy.values[CHARGE])
        seen = DownloadObservation(
            round=game.clock.round,
            device=device,
            charge=charge,
            pool=self.economy.purse.held(ENGINEERS),
            balance=game.treasury.balance(device),
            rng=game.streams.rng("engineer.download", device, game.clock.round),
        )
        behaviour = self._behaviour(device)
        wanted = answers.truth(behaviour, "downloads", behaviour.downloads(seen), seen.who)
        if not wanted or charge > seen.balance:
            return False
        self.economy.earn(device, charge, "charge.download")
        self.economy.download(device)
        game.population[device].role = PartyRole.ENGINEER
        return True

    def _train(self, working: Sequence[int]) -> FloatMatrix:
        """Return a trained row `float32[K, P]` for each engineer, and let the time pass."""
        game, ends_s = self.game, self.economy.now_s
        jobs = []
        for device in working:
            epochs = self._epochs(device)
            jobs.append(self._job(device, epochs))
            busy_s = game.network.training_s(device, len(game.bench.samples(device)), epochs)
            self.server.compute_s[device] = self.server.compute_s.get(device, 0.0) + busy_s
            there_s = self.economy.now_s + 2 * self.server.send_s(device) + busy_s
            ends_s = max(ends_s, there_s)
        game.clock.time_s = ends_s
        return game.bench.engine.train(jobs)

    def _epochs(self, device: int) -> int:
        """Return the epochs that an engineer trains: none without samples."""
        asked = self.economy.scenario.engineers.epochs
        behaviour = self._behaviour(device)
        who = f"device {device}"
        epochs = answers.whole(behaviour, "effort", behaviour.effort(asked), who=who)
        return epochs if len(self.game.bench.samples(device)) else 0

    def _job(self, device: int, epochs: int) -> TrainingJob:
        game = self.game
        samples, identity = game.bench.samples(device), (device, game.clock.round)
        rng = game.streams.rng("engineering", *identity)
        order: NDArray[np.int64] = np.empty((0, len(samples)), dtype=np.int64)
        if epochs:
            order = np.stack([rng.permutation(samples) for _ in range(epochs)])
        start = game.bench.models[game.forks[device].model]
        return TrainingJob(start, order, game.streams.seed63("engineering.seed", *identity))

    def _submission(self, device: int, trained: FloatMatrix) -> FloatMatrix | None:
        """Return the version of an engineer; None where it submits none that could be a model."""
        game, behaviour = self.game, self._behaviour(device)
        seen = EngineerObservation(
            round=game.clock.round,
            device=device,
            master=game.bench.models[game.forks[device].model],
            trained=trained,
            layout=game.bench.engine.layout,
            rng=game.streams.rng("adversary.engineer", device, game.clock.round),
            test=lambda row: float(game.bench.held_out_accuracy(row[None])[0]),
        ).shown_to(behaviour.knows)
        with np.errstate(over="ignore", invalid="ignore"):
            answer = behaviour.submit(seen)
        row = answers.version(behaviour, answer, game.bench.engine.size, seen.who)
        if row is not None and not np.isfinite(row).all():
            game.incidents.note(self.economy.now_s, device, None, "malformed")
            return None
        return row
