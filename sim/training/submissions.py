"""Submissions of workers: every behaviour acts once, on all rows of its devices."""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agents.workers.base import WorkerBehaviour
from mechanisms import answers
from mechanisms.vocabulary import FloatMatrix, Submission, WorkerObservation
from sim.learning.engine import row_digest
from sim.training.game import TrainingGame

MOST_CLAIMED = 10**9
"""Samples or epochs that a worker can claim: nobody believes more."""


@dataclass
class Submissions:
    """What was sent, by row and by device.

    By row: the work claimed, whether that is `believable`, and whether what was sent is `genuine`:
    what training as asked on the device's own samples gives, with true claims. By device: who
    forges a signature, replays an old transaction, sends its own twice, keeps what it committed to,
    or reveals something else (`switched`, its digest).
    """

    claimed_samples: NDArray[np.int64]
    claimed_epochs: NDArray[np.int64]
    believable: NDArray[np.bool_]
    genuine: NDArray[np.bool_]
    forged: set[int] = field(default_factory=set)
    replayed: set[int] = field(default_factory=set)
    duplicated: set[int] = field(default_factory=set)
    unrevealed: set[int] = field(default_factory=set)
    switched: dict[int, bytes] = field(default_factory=dict)


def identity_of(round: int, device: int, step: int = 0) -> tuple[int, ...]:
    """Return what names the random streams of a device's work in a round, the first or a later."""
    first = (device, round)
    return (*first, step) if step else first


def submit_into(
    game: TrainingGame,
    workers: Sequence[int],
    updates: FloatMatrix,
    effort: NDArray[np.int64],
    *,
    sealed: bool,
    step: int = 0,
) -> Submissions:
    """Let behaviours act and overwrite their rows of `updates`; honest rows stay as trained.

    Args:
        game: the services of the run.
        workers: one for each row.
        updates: rows `float32[K, P]`, changed in place.
        effort: epochs that each worker has trained, `int64[K]`.
        sealed: what others send cannot be seen before everybody has committed.
        step: how many times workers have submitted in the round before.
    """
    asked = game.scenario.training.epochs
    sent = Submissions(
        np.array([len(game.bench.samples(w)) for w in workers], dtype=np.int64),
        np.full(len(workers), asked, dtype=np.int64),
        np.ones(len(workers), dtype=np.bool_),
        effort == asked,
    )
    groups: dict[int, tuple[WorkerBehaviour, list[int]]] = {}
    for i, w in enumerate(workers):
        if game.population[w].adversary:
            behaviour = game.population[w].behaviour("worker")
            groups.setdefault(id(behaviour), (behaviour, []))[1].append(i)
    peeking = not sealed and any("others" in b.knows for b, _ in groups.values())
    trained = updates.copy() if peeking else None
    for behaviour, at in groups.values():
        devices = [workers[i] for i in at]
        known = {}
        if "others" in behaviour.knows:
            known["others"] = updates[:0] if trained is None else np.delete(trained, at, axis=0)
        seen = _observation(game, behaviour, devices, updates[at], known, sent, at, step)
        # What is not finite is left out of every block.
        with np.errstate(over="ignore", invalid="ignore"):
            act = answers.submission(behaviour, behaviour.submit(seen), seen)
            _take_into(sent, act, seen, at, updates)
    return sent


def _observation(
    game: TrainingGame,
    behaviour: WorkerBehaviour,
    devices: list[int],
    updates: FloatMatrix,
    known: dict[str, Any],
    sent: Submissions,
    at: list[int],
    step: int,
) -> WorkerObservation:
    """Return what the devices of one behaviour see; `at` are their rows.

    `known` is what it sees of others, where it can.
    """
    models = game.bench.models
    knows = behaviour.knows
    holdings = [game.forks[device] for device in devices]
    if "previous" in knows:
        known["previous_models"] = np.stack([models[held.previous_model] for held in holdings])
    if "rules" in knows:
        known["rules"] = deepcopy(game.scenario.stated_rules())
    if "validation" in knows:
        known["validation"] = game.bench.validators_accuracy
    seen = WorkerObservation(
        round=game.clock.round,
        devices=tuple(devices),
        updates=updates,
        global_models=np.stack([models[held.model] for held in holdings]),
        samples=sent.claimed_samples[at],
        epochs=sent.claimed_epochs[at],
        layout=game.bench.engine.layout,
        rngs=tuple(
            game.streams.rng("adversary.worker", *identity_of(game.clock.round, d, step))
            for d in devices
        ),
        **known,
    )
    return seen.shown_to(knows)


def _take_into(
    sent: Submissions,
    act: Submission,
    seen: WorkerObservation,
    at: list[int],
    updates: FloatMatrix,
) -> None:
    """Write what a behaviour sends into `sent` and `updates`."""
    # How it is sent.
    if act.forged:
        sent.forged.update(seen.devices)
    if act.replayed:
        sent.replayed.update(seen.devices)
    if act.duplicated:
        sent.duplicated.update(seen.devices)
    if not act.reveals:
        sent.unrevealed.update(seen.devices)
    if act.revealed is not None:
        digests = map(row_digest, act.revealed)
        sent.switched.update(zip(seen.devices, digests, strict=True))

    # What it is.
    rows = act.updates
    samples, epochs = np.asarray(act.claimed_samples), np.asarray(act.claimed_epochs)
    true_claims = (samples == seen.samples) & (epochs == seen.epochs)
    sent.genuine[at] &= (rows == seen.updates).all(axis=1) & true_claims
    updates[at] = rows
    sent.believable[at] = _believable(samples) & _believable(epochs)
    sent.claimed_samples[at] = np.clip(samples, 0, MOST_CLAIMED)
    sent.claimed_epochs[at] = np.clip(epochs, 0, MOST_CLAIMED)


def _believable(claim: NDArray[Any]) -> NDArray[np.bool_]:
    """Return which claims are neither negative nor beyond all bounds."""
    return (claim >= 0) & (claim <= MOST_CLAIMED)
