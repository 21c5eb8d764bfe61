"""A validator at work: what it casts on the updates it was sent, and what it reports of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from mechanisms.geometry import cosines_to_sum
from mechanisms.vocabulary import VoteObservation
from sim.rounds.local_work import LocalWork

if TYPE_CHECKING:
    from sim.world import World


def vote(
    world: World,
    work: LocalWork,
    validator: int,
    workers: Sequence[int],
    verdicts: NDArray[np.bool_],
    support: NDArray[np.float64] | None,
    paid: NDArray[np.bool_],
) -> tuple[NDArray[np.bool_], list[float | None]]:
    """Votes on `workers`, as the validator's behaviour makes them of its verdicts, and a score of each (None: nobody asks).

    `support` and `paid` are as in `VoteObservation`. Raises `ValueError` when the behaviour answers in the wrong form.
    """
    behaviour = world.participants[validator].validator
    seen = VoteObservation(
        round=world.round_index,
        validator=validator,
        workers=tuple(workers),
        verdicts=verdicts.copy(),
        rng=world.streams.rng("adversary.validator", validator, world.round_index),
        coalition=world.coalitions[validator],
        support=support,
        paid=paid,
    )
    votes = np.asarray(behaviour.vote(seen))
    if votes.shape != (len(workers),):
        raise ValueError(
            f"{behaviour!r} cast votes of shape {votes.shape}, should be {(len(workers),)}"
        )
    if "reports" not in world.payout.observes:
        return votes, [None] * len(workers)
    scores = _similarity(world, work, seen)
    told = np.asarray(behaviour.report(seen, scores), dtype=np.float64)
    if told.shape != scores.shape:
        raise ValueError(
            f"{behaviour!r} reported scores of shape {told.shape}, should be {scores.shape}"
        )
    return votes, np.clip(np.nan_to_num(told), -1.0, 1.0).tolist()


def _similarity(world: World, work: LocalWork, seen: VoteObservation) -> NDArray[np.float64]:
    """Cosine of each worker's change to the mean change of all finite ones that the validator was sent; 0 if not finite."""
    rows = np.array([work.row[w] for w in seen.workers])
    finite = work.finite[rows]
    scores = np.zeros(len(rows))
    if finite.any():
        start = world.models[world.participants[seen.validator].global_model]
        scores[finite] = cosines_to_sum(work.updates[rows[finite]], start).round(12)
    return scores
