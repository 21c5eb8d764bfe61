"""The numerics of a round, before the clock decides what arrives: training, tampering, digests, accuracies."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from mechanisms.vocabulary import FloatMatrix, WorkerObservation
from sim.learning.engine import row_digest
from sim.learning.job import TrainingJob
from sim.privacy import clip_and_blur

if TYPE_CHECKING:
    from agents.workers.base import WorkerBehaviour
    from sim.world import World


MOST_CLAIMED = 10**9
"""Samples or epochs that a worker can claim: more is malformed."""


@dataclass
class LocalWork:
    """What the workers of a round submit, one row per worker, and the baselines of its validators.

    `finite[i]` says whether row i may be aggregated at all: as many numbers as the model has, no NaN or infinity, claims of
    work that are whole numbers up to `MOST_CLAIMED`. `trained_epochs` is the work that was done, whatever is claimed.
    """

    workers: list[int]
    updates: FloatMatrix
    digests: list[bytes]
    finite: NDArray[np.bool_]
    claimed_samples: NDArray[np.int64]
    claimed_epochs: NDArray[np.int64]
    trained_epochs: NDArray[np.int64]
    validators: list[int]
    baselines: FloatMatrix
    baseline_epochs: int = 0
    forged: frozenset[int] = frozenset()
    replayed: frozenset[int] = frozenset()

    def __post_init__(self) -> None:
        self.row = {w: i for i, w in enumerate(self.workers)}
        self.replaced: dict[bytes, dict[int, FloatMatrix]] = {}

    def tamper(self, block: bytes, rows: Mapping[int, FloatMatrix]) -> None:
        """Note that the block with this hash carries other rows for some workers than those sent."""
        size = self.updates.shape[1]
        self.replaced[block] = {w: np.resize(np.asarray(row, dtype=np.float32), size) for w, row in rows.items()}

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


def do_local_work(world: World, workers: Sequence[int], validators: Sequence[int]) -> LocalWork:
    """Train all workers and all baselines in one call of the engine, then let behaviours decide what is submitted."""
    s, r = world.scenario, world.round_index
    participants = world.participants
    effort = [max(0, participants[w].worker.effort(s.training.epochs)) for w in workers]
    baseline_epochs = world.validation.baseline_epochs if world.validation.baseline_epochs >= 0 else s.training.epochs
    jobs = [_job(world, w, "training", epochs) for w, epochs in zip(workers, effort, strict=True)] + [
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
    _protect(world, workers, updates)
    samples, epochs, formed, forged, replayed = _submit(world, list(workers), updates)
    updates.setflags(write=False)
    return LocalWork(
        list(workers),
        updates,
        [row_digest(row) for row in updates],
        _finite_rows(updates) & formed,
        samples,
        epochs,
        np.array(effort, dtype=np.int64),
        list(validators),
        trained[n:],
        baseline_epochs,
        forged,
        replayed,
    )


def _finite_rows(rows: FloatMatrix) -> NDArray[np.bool_]:
    """`bool[K]`: rows without NaN or infinity. A float64 sum of float32 numbers is finite exactly when all of them are."""
    with np.errstate(invalid="ignore"):
        return np.isfinite(rows.sum(axis=1, dtype=np.float64))


def _job(world: World, device: int, purpose: str, epochs: int) -> TrainingJob:
    rng = world.streams.rng(purpose, device, world.round_index)
    mine = world.samples(device)
    order = np.stack([rng.permutation(mine) for _ in range(epochs)]) if epochs else np.empty((0, len(mine)), dtype=np.int64)
    start = world.models[world.participants[device].global_model]
    return TrainingJob(start, order, world.streams.seed63(f"{purpose}.seed", device, world.round_index))


def _protect(world: World, workers: Sequence[int], updates: FloatMatrix) -> None:
    """What the protocol's client does to every row, in place, before anybody may deviate: clip it and add noise."""
    p = world.scenario.privacy
    if not p.clip:
        return
    for i, w in enumerate(workers):  # row by row: two rows in float64 are all the memory it takes
        rng = world.streams.rng("privacy", w, world.round_index)
        updates[i] = clip_and_blur(updates[i], world.models[world.participants[w].global_model], p.clip, p.noise, rng)


def _submit(
    world: World, workers: list[int], updates: FloatMatrix
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.bool_], frozenset[int], frozenset[int]]:
    """Let every behaviour act once on all rows of its devices; rows of honest devices stay as they were trained.

    Returns the samples and epochs that each worker claims, whether what it sent has the right form, and who forges a
    signature or replays an old transaction.
    """
    claimed_samples = np.array([len(world.samples(w)) for w in workers], dtype=np.int64)
    claimed_epochs = np.full(len(workers), world.scenario.training.epochs, dtype=np.int64)
    formed = np.ones(len(workers), dtype=np.bool_)
    forged: set[int] = set()
    replayed: set[int] = set()
    groups: dict[int, tuple[WorkerBehaviour, list[int]]] = {}
    for i, w in enumerate(workers):
        if world.participants[w].adversary:
            behaviour = world.participants[w].worker
            groups.setdefault(id(behaviour), (behaviour, []))[1].append(i)
    trained = updates.copy() if any("others" in b.knows for b, _ in groups.values()) else None
    for behaviour, at in groups.values():
        devices = tuple(workers[i] for i in at)
        own = [world.participants[d] for d in devices]
        seen = WorkerObservation(
            round=world.round_index,
            devices=devices,
            updates=updates[at],
            global_models=np.stack([world.models[p.global_model] for p in own]),
            samples=claimed_samples[at],
            epochs=claimed_epochs[at],
            layout=world.engine.layout,
            rngs=tuple(world.streams.rng("adversary.worker", d, world.round_index) for d in devices),
            others=np.delete(trained, at, axis=0) if trained is not None and "others" in behaviour.knows else None,
            previous_models=(np.stack([world.models[p.previous_model] for p in own]) if "previous" in behaviour.knows else None),
        )
        with np.errstate(over="ignore", invalid="ignore"):  # what is not finite is left out of every block
            sent = behaviour.submit(seen)
        samples, epochs = np.asarray(sent.claimed_samples), np.asarray(sent.claimed_epochs)
        for d in devices if sent.forged else ():
            forged.add(d)
        for d in devices if sent.replayed else ():
            replayed.add(d)
        claims_formed = all(c.shape == (len(at),) and np.issubdtype(c.dtype, np.integer) for c in (samples, epochs))
        if np.shape(sent.updates) != (len(at), updates.shape[1]) or not claims_formed:
            formed[at] = False
            continue
        updates[at] = sent.updates
        formed[at] = (samples >= 0) & (epochs >= 0) & (samples <= MOST_CLAIMED) & (epochs <= MOST_CLAIMED)
        claimed_samples[at], claimed_epochs[at] = (np.clip(c, 0, MOST_CLAIMED) for c in (samples, epochs))
    return claimed_samples, claimed_epochs, formed, frozenset(forged), frozenset(replayed)
