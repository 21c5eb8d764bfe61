"""The numerics of a round, before the clock decides what arrives: training, tampering, digests, accuracies."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from mechanisms.vocabulary import FloatMatrix
from sim.learning.engine import row_digest
from sim.learning.job import TrainingJob
from sim.privacy import clip_and_blur
from sim.rounds.submissions import Submissions, submit

if TYPE_CHECKING:
    from sim.world import World


@dataclass
class LocalWork:
    """What the workers of a round submit, one row per worker, and the baselines of its validators.

    `finite[i]` says whether row i may be aggregated at all: as many numbers as the model has, no NaN or infinity, claims of
    work that are whole numbers. `trained_epochs` is the work that was done, whatever is claimed.
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
        self.row = {w: i for i, w in enumerate(self.workers)}
        self.replaced: dict[bytes, dict[int, FloatMatrix]] = {}

    def tamper(self, block: bytes, rows: Mapping[int, FloatMatrix]) -> None:
        """Note that the block with this hash carries other rows for some workers than those sent."""
        size = self.updates.shape[1]
        self.replaced[block] = {
            w: np.resize(np.asarray(row, dtype=np.float32), size) for w, row in rows.items()
        }

    def rows_of(self, workers: Sequence[int], block: bytes = b"") -> FloatMatrix:
        """Rows of these workers, as a block carries them; no copy when they are all of them, untouched."""
        replaced = self.replaced.get(block, {})
        if list(workers) == self.workers and not replaced:
            return self.updates
        rows = self.updates[[self.row[w] for w in workers]]
        for i, w in enumerate(workers):
            if w in replaced:
                rows[i] = replaced[w]
        return rows


def do_local_work(
    world: World, workers: Sequence[int], validators: Sequence[int], *, sealed: bool = False
) -> LocalWork:
    """Train all workers and all baselines in one call of the engine, then let behaviours decide what is submitted.

    `sealed`: as for `submit`.
    """
    s, r = world.scenario, world.round_index
    participants = world.participants
    effort = np.array(
        [max(0, participants[w].worker.effort(s.training.epochs)) for w in workers], dtype=np.int64
    )
    baseline_epochs = (
        world.validation.baseline_epochs
        if world.validation.baseline_epochs >= 0
        else s.training.epochs
    )
    jobs = [
        _job(world, w, "training", epochs)
        for w, epochs in zip(workers, effort.tolist(), strict=True)
    ] + [_job(world, v, "baseline", baseline_epochs) for v in validators]
    on_epoch = None
    if s.record.epoch_accuracy:

        def on_epoch(k: int, epoch: int, row: FloatMatrix) -> None:
            if k < len(workers):
                accuracy = float(world.test([row], [row_digest(row)]).accuracy[0])
                world.recorder.add(
                    "epochs",
                    [{"round": r, "device": workers[k], "epoch": epoch, "accuracy": accuracy}],
                )

    trained = world.engine.train(jobs, on_epoch)
    n = len(workers)
    updates = trained[:n]
    _protect(world, workers, updates)
    sent = submit(world, workers, updates, effort, sealed=sealed)
    updates.setflags(write=False)
    return LocalWork(
        list(workers),
        updates,
        [row_digest(row) for row in updates],
        _finite_rows(updates) & sent.formed,
        effort,
        sent,
        list(validators),
        trained[n:],
        baseline_epochs,
    )


def _finite_rows(rows: FloatMatrix) -> NDArray[np.bool_]:
    """`bool[K]`: rows without NaN or infinity. A float64 sum of float32 numbers is finite exactly when all of them are."""
    with np.errstate(invalid="ignore"):
        return np.isfinite(rows.sum(axis=1, dtype=np.float64))


def _job(world: World, device: int, purpose: str, epochs: int) -> TrainingJob:
    rng = world.streams.rng(purpose, device, world.round_index)
    mine = world.samples(device)
    order = (
        np.stack([rng.permutation(mine) for _ in range(epochs)])
        if epochs
        else np.empty((0, len(mine)), dtype=np.int64)
    )
    start = world.models[world.participants[device].global_model]
    return TrainingJob(
        start, order, world.streams.seed63(f"{purpose}.seed", device, world.round_index)
    )


def _protect(world: World, workers: Sequence[int], updates: FloatMatrix) -> None:
    """What the protocol's client does to every row, in place, before anybody may deviate: clip it and add noise."""
    p = world.scenario.privacy
    if not p.clip:
        return
    for i, w in enumerate(workers):  # row by row: two rows in float64 are all the memory it takes
        rng = world.streams.rng("privacy", w, world.round_index)
        updates[i] = clip_and_blur(
            updates[i], world.models[world.participants[w].global_model], p.clip, p.noise, rng
        )
