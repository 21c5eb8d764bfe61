"""The numerics of a round, before the clock decides what arrives: training, tampering, digests, accuracies."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from mechanisms.vocabulary import FloatMatrix, WorkerObservation
from sim.learning.engine import row_digest
from sim.learning.job import TrainingJob

if TYPE_CHECKING:
    from agents.workers.base import WorkerBehaviour
    from sim.world import World


@dataclass
class LocalWork:
    """What the workers of a round submit, one row per worker, and the baselines of its validators.

    `finite[i]` says whether row i may be aggregated at all (no NaN or infinity).
    """

    workers: list[int]
    updates: FloatMatrix
    digests: list[bytes]
    finite: NDArray[np.bool_]
    claimed_samples: NDArray[np.int64]
    claimed_epochs: NDArray[np.int64]
    validators: list[int]
    baselines: FloatMatrix

    def __post_init__(self) -> None:
        self.row = {w: i for i, w in enumerate(self.workers)}

    def rows_of(self, at: list[int]) -> FloatMatrix:
        """The rows at these positions; no copy when they are all of them."""
        return self.updates if at == list(range(len(self.workers))) else self.updates[at]


def do_local_work(world: World, workers: Sequence[int], validators: Sequence[int]) -> LocalWork:
    """Train all workers and all baselines in one call of the engine, then let behaviours decide what is submitted."""
    s, r = world.scenario, world.round_index
    epochs = s.training.epochs
    baseline_epochs = world.validation.baseline_epochs
    jobs = [_job(world, w, "training", epochs) for w in workers] + [
        _job(world, v, "baseline", baseline_epochs) for v in validators
    ]
    on_epoch = None
    if s.record.epoch_accuracy:

        def on_epoch(k: int, epoch: int, row: FloatMatrix) -> None:
            if k < len(workers):
                accuracy = float(world.test([row], [row_digest(row)]).accuracy[0])
                world.recorder.add("epochs", [{"round": r, "device": workers[k], "epoch": epoch, "accuracy": accuracy}])

    trained = world.engine.train(jobs, on_epoch)
    n = len(workers)
    updates = trained[:n]
    samples = np.array([len(world.split.train[w]) for w in workers], dtype=np.int64)
    done = np.full(n, epochs, dtype=np.int64)
    claims = _submit(world, list(workers), updates, samples, done)
    updates.setflags(write=False)
    return LocalWork(
        list(workers),
        updates,
        [row_digest(row) for row in updates],
        _finite_rows(updates),
        *claims,
        list(validators),
        trained[n:],
    )


def _finite_rows(rows: FloatMatrix) -> NDArray[np.bool_]:
    """`bool[K]`: rows without NaN or infinity. A float64 sum of float32 numbers is finite exactly when all of them are."""
    with np.errstate(invalid="ignore"):
        return np.isfinite(rows.sum(axis=1, dtype=np.float64))


def _job(world: World, device: int, purpose: str, epochs: int) -> TrainingJob:
    rng = world.streams.rng(purpose, device, world.round_index)
    mine = world.split.train[device]
    order = np.stack([rng.permutation(mine) for _ in range(epochs)]) if epochs else np.empty((0, len(mine)), dtype=np.int64)
    start = world.models[world.participants[device].global_model]
    return TrainingJob(start, order, world.streams.seed63(f"{purpose}.seed", device, world.round_index))


def _submit(
    world: World, workers: list[int], updates: FloatMatrix, samples: NDArray[np.int64], epochs: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Let every behaviour act once on all rows of its devices; rows of honest devices stay as they were trained."""
    claimed_samples, claimed_epochs = samples.copy(), epochs.copy()
    groups: dict[int, tuple[WorkerBehaviour, list[int]]] = {}
    for i, w in enumerate(workers):
        if world.participants[w].adversary:
            behaviour = world.participants[w].worker
            groups.setdefault(id(behaviour), (behaviour, []))[1].append(i)
    trained = updates.copy() if any("others" in b.knows for b, _ in groups.values()) else None
    for behaviour, at in groups.values():
        devices = tuple(workers[i] for i in at)
        seen = WorkerObservation(
            round=world.round_index,
            devices=devices,
            updates=updates[at],
            global_models=np.stack([world.models[world.participants[d].global_model] for d in devices]),
            samples=samples[at],
            epochs=epochs[at],
            layout=world.engine.layout,
            rngs=tuple(world.streams.rng("adversary.worker", d, world.round_index) for d in devices),
            others=np.delete(trained, at, axis=0) if trained is not None and "others" in behaviour.knows else None,
        )
        with np.errstate(over="ignore", invalid="ignore"):  # what is not finite is left out of every block
            sent = behaviour.submit(seen)
        if np.shape(sent.updates) != (len(at), updates.shape[1]):
            raise ValueError(
                f"{behaviour!r} returned updates of shape {np.shape(sent.updates)}, should be {(len(at), updates.shape[1])}"
            )
        if np.min(sent.claimed_samples) < 0 or np.min(sent.claimed_epochs) < 0:
            raise ValueError(f"{behaviour!r} claims negative work")
        updates[at] = sent.updates
        claimed_samples[at], claimed_epochs[at] = sent.claimed_samples, sent.claimed_epochs
    return claimed_samples, claimed_epochs
