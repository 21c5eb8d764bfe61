"""The numerics of a round before its clock starts: training, tampering, digests, accuracy."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mechanisms import answers
from mechanisms.geometry import finite_rows
from mechanisms.vocabulary import FloatMatrix
from sim.learning.engine import row_digest
from sim.learning.job import TrainingJob
from sim.population.population import Population
from sim.privacy import clip_and_blur
from sim.training.game import TrainingGame
from sim.training.submissions import Submissions, identity_of, submit_into


@dataclass
class LocalWork:
    """What the workers of a round submit, one row per worker, and the baselines of its validators.

    `finite[i]` says whether row i may be aggregated at all: no NaN or infinity, claims of work that
    can be believed. `trained_epochs` is the work that was done, whatever is claimed.
    """

    workers: list[int]
    updates: FloatMatrix
    digests: list[bytes]
    finite: NDArray[np.bool_]
    trained_epochs: NDArray[np.int64]
    sent: Submissions
    validators: list[int]
    baselines: FloatMatrix
    baseline_epochs: int = 0

    def __post_init__(self) -> None:
        self.row = {worker: i for i, worker in enumerate(self.workers)}
        self.replaced: dict[bytes, dict[int, FloatMatrix]] = {}

    def tamper(self, block: bytes, rows: Mapping[int, FloatMatrix]) -> None:
        """Note rows that the block with this hash carries in the place of those sent."""
        with np.errstate(over="ignore"):
            self.replaced[block] = {w: np.asarray(row, np.float32) for w, row in rows.items()}

    def rows_of(self, workers: Sequence[int], block: bytes = b"") -> FloatMatrix:
        """Return the rows of these workers, as a block carries them.

        No copy is made when they are all of them, untouched.
        """
        replaced = self.replaced.get(block, {})
        if list(workers) == self.workers and not replaced:
            return self.updates
        rows = self.updates[[self.row[w] for w in workers]]
        for i, w in enumerate(workers):
            if w in replaced:
                rows[i] = replaced[w]
        return rows


def do_local_work(
    game: TrainingGame,
    workers: Sequence[int],
    validators: Sequence[int] = (),
    *,
    baseline_epochs: int = 0,
    sealed: bool = False,
    step: int = 0,
) -> LocalWork:
    """Train workers and baselines in one call, then let behaviours decide what is submitted.

    Args:
        game: the services of the run.
        workers: devices that train an update.
        validators: devices that train a baseline to compare updates with.
        baseline_epochs: for how many epochs.
        sealed: what others send cannot be seen before everybody has committed.
        step: how many times workers have trained in the round before.
    """
    # Train.
    asked = game.scenario.training.epochs
    effort = np.array([effort_of(game.population, w, asked) for w in workers], dtype=np.int64)
    jobs = [
        _job(game, w, "training", epochs, step)
        for w, epochs in zip(workers, effort.tolist(), strict=True)
    ]
    jobs += [_job(game, v, "baseline", baseline_epochs, step) for v in validators]
    trained = game.bench.engine.train(jobs, _epoch_log(game, workers))
    updates = trained[: len(workers)]

    # Protect and submit.
    _protect_in_place(game, workers, updates, step)
    sent = submit_into(game, workers, updates, effort, sealed=sealed, step=step)
    updates.setflags(write=False)
    return LocalWork(
        workers=list(workers),
        updates=updates,
        digests=[row_digest(row) for row in updates],
        finite=finite_rows(updates) & sent.believable,
        trained_epochs=effort,
        sent=sent,
        validators=list(validators),
        baselines=trained[len(workers) :],
        baseline_epochs=baseline_epochs,
    )


def effort_of(population: Population, worker: int, asked: int) -> int:
    """Return the epochs that a worker really trains."""
    behaviour = population[worker].behaviour("worker")
    return answers.whole(behaviour, "effort", behaviour.effort(asked), who=f"device {worker}")


def _epoch_log(
    game: TrainingGame, workers: Sequence[int]
) -> Callable[[int, int, FloatMatrix], None] | None:
    """Return the recorder of accuracy after each epoch, where the scenario asks for it."""
    recorder = game.kernel.recorder
    if not recorder.records("epochs"):
        return None

    def on_epoch(k: int, epoch: int, row: FloatMatrix) -> None:
        if k >= len(workers):  # a baseline
            return
        accuracy = float(game.bench.test([row], [row_digest(row)]).accuracy[0])
        entry = {
            "round": game.clock.round,
            "device": workers[k],
            "epoch": epoch,
            "accuracy": accuracy,
        }
        recorder.add("epochs", [entry])

    return on_epoch


def _job(game: TrainingGame, device: int, purpose: str, epochs: int, step: int) -> TrainingJob:
    """Return the training of one device from its own global model on its own samples."""
    identity = identity_of(game.clock.round, device, step)
    rng = game.streams.rng(purpose, *identity)
    samples = game.bench.samples(device)
    order = np.empty((0, len(samples)), dtype=np.int64)
    if epochs:
        order = np.stack([rng.permutation(samples) for _ in range(epochs)])
    start = game.bench.models[game.forks[device].model]
    return TrainingJob(start, order, game.streams.seed63(f"{purpose}.seed", *identity))


def _protect_in_place(
    game: TrainingGame, workers: Sequence[int], updates: FloatMatrix, step: int
) -> None:
    """Clip every row and add noise, before anybody may deviate: what the protocol's client does."""
    privacy = game.scenario.privacy
    if not privacy.clip:
        return
    for i, w in enumerate(workers):  # row by row: two rows in float64 are all the memory it takes
        rng = game.streams.rng("privacy", *identity_of(game.clock.round, w, step))
        start = game.bench.models[game.forks[w].model]
        updates[i] = clip_and_blur(updates[i], start, privacy.clip, privacy.noise, rng)
