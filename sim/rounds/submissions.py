"""What workers send once they have trained: every behaviour acts once, on all rows of its devices."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mechanisms.vocabulary import FloatMatrix, Submission, WorkerObservation
from sim.learning.engine import row_digest

if TYPE_CHECKING:
    from agents.workers.base import WorkerBehaviour
    from sim.world import World

MOST_CLAIMED = 10**9
"""Samples or epochs that a worker can claim: more is malformed."""


@dataclass
class Submissions:
    """By row: the work claimed, whether what was sent has the right form, and whether it is `genuine`, that is what training

    as asked on the device's own samples gives, with true claims. By device: who forges a signature, replays an old
    transaction, sends its own twice, keeps what it committed to, or reveals something else (`switched`, its digest).
    """

    claimed_samples: NDArray[np.int64]
    claimed_epochs: NDArray[np.int64]
    formed: NDArray[np.bool_]
    genuine: NDArray[np.bool_]
    forged: set[int] = field(default_factory=set)
    replayed: set[int] = field(default_factory=set)
    duplicated: set[int] = field(default_factory=set)
    unrevealed: set[int] = field(default_factory=set)
    switched: dict[int, bytes] = field(default_factory=dict)


def submit(
    world: World,
    workers: Sequence[int],
    updates: FloatMatrix,
    effort: NDArray[np.int64],
    *,
    sealed: bool,
) -> Submissions:
    """Let behaviours act; rows of honest devices stay as they were trained, others are overwritten in `updates`.

    `sealed`: what others send cannot be seen before everybody has committed.
    """
    asked = world.scenario.training.epochs
    sent = Submissions(
        np.array([len(world.samples(w)) for w in workers], dtype=np.int64),
        np.full(len(workers), asked, dtype=np.int64),
        np.ones(len(workers), dtype=np.bool_),
        effort == asked,
    )
    groups: dict[int, tuple[WorkerBehaviour, list[int]]] = {}
    for i, w in enumerate(workers):
        if world.participants[w].adversary:
            behaviour = world.participants[w].worker
            groups.setdefault(id(behaviour), (behaviour, []))[1].append(i)
    peeking = not sealed and any("others" in b.knows for b, _ in groups.values())
    trained = updates.copy() if peeking else None
    for behaviour, at in groups.values():
        devices = [workers[i] for i in at]
        seen = _observation(world, behaviour, devices, at, updates, trained, sent)
        with np.errstate(
            over="ignore", invalid="ignore"
        ):  # what is not finite is left out of every block
            _take(sent, behaviour.submit(seen), seen, at, updates)
    return sent


def _observation(
    world: World,
    behaviour: WorkerBehaviour,
    devices: list[int],
    at: list[int],
    updates: FloatMatrix,
    trained: FloatMatrix | None,
    sent: Submissions,
) -> WorkerObservation:
    own = [world.participants[d] for d in devices]
    return WorkerObservation(
        round=world.round_index,
        devices=tuple(devices),
        updates=updates[at],
        global_models=np.stack([world.models[p.global_model] for p in own]),
        samples=sent.claimed_samples[at],
        epochs=sent.claimed_epochs[at],
        layout=world.engine.layout,
        rngs=tuple(world.streams.rng("adversary.worker", d, world.round_index) for d in devices),
        others=np.delete(trained, at, axis=0)
        if trained is not None and "others" in behaviour.knows
        else None,
        rules=_rules(world) if "rules" in behaviour.knows else None,
        validation=world.validators_accuracy if "validation" in behaviour.knows else None,
        previous_models=np.stack([world.models[p.previous_model] for p in own])
        if "previous" in behaviour.knows
        else None,
    )


def _rules(world: World) -> dict[str, Any]:
    s = world.scenario
    return {
        "validation": {"rule": s.validation.rule, "params": s.validation.params},
        "aggregation": {"rule": s.aggregation.rule, "params": s.aggregation.params},
        "payout": {"rule": s.payout.mechanism, "params": s.payout.params},
    }


def _take(
    sent: Submissions, act: Submission, seen: WorkerObservation, at: list[int], updates: FloatMatrix
) -> None:
    """Check the form of what a behaviour sends and write it into `sent` and `updates`."""
    for done, who in (
        (act.forged, sent.forged),
        (act.replayed, sent.replayed),
        (act.duplicated, sent.duplicated),
        (not act.reveals, sent.unrevealed),
    ):
        if done:
            who.update(seen.devices)
    if act.revealed is not None:
        shown = _numbers(act.revealed)
        of_each = (
            list(shown) if shown is not None and len(shown) == len(at) else [MALFORMED] * len(at)
        )
        sent.switched.update(
            (d, row_digest(row)) for d, row in zip(seen.devices, of_each, strict=True)
        )
    rows, samples, epochs = (
        _numbers(act.updates),
        _numbers(act.claimed_samples, None),
        _numbers(act.claimed_epochs, None),
    )
    formed = rows is not None and rows.shape == seen.updates.shape
    for claim in (samples, epochs):
        formed = (
            formed
            and claim is not None
            and claim.shape == (len(at),)
            and np.issubdtype(claim.dtype, np.integer)
        )
    if not formed:
        sent.formed[at] = sent.genuine[at] = False
        return
    assert rows is not None
    assert samples is not None
    assert epochs is not None
    true_claims = (samples == seen.samples) & (epochs == seen.epochs)
    sent.genuine[at] &= (rows == seen.updates).all(axis=1) & true_claims
    updates[at] = rows
    sent.formed[at] = (
        (samples >= 0) & (epochs >= 0) & (samples <= MOST_CLAIMED) & (epochs <= MOST_CLAIMED)
    )
    sent.claimed_samples[at], sent.claimed_epochs[at] = (
        np.clip(c, 0, MOST_CLAIMED) for c in (samples, epochs)
    )


MALFORMED = np.empty(0, dtype=np.float32)


def _numbers(given: Any, kind: type | None = np.float32) -> NDArray[Any] | None:
    """What a behaviour gave as an array, None where it is none (ragged, text, whatever somebody else's code may return)."""
    try:
        array = np.asarray(given) if kind is None else np.asarray(given, dtype=kind)
    except (TypeError, ValueError, OverflowError):
        return None
    return array if array.ndim else None
