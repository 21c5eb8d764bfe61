"""What validators report of the similarity of updates, where the payout rule asks for it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from mechanisms.geometry import cosines_to_sum
from mechanisms.vocabulary import VoteObservation
from sim.rounds.local_work import LocalWork

if TYPE_CHECKING:
    from agents.validators.base import ValidatorBehaviour
    from sim.world import World


def reports(world: World, work: LocalWork, behaviour: ValidatorBehaviour, seen: VoteObservation) -> list[float | None]:
    """A score for each of `seen.workers`: the cosine of its change to the mean change of all finite ones that the validator

    was sent, as the validator's behaviour reports it; None where nobody asks. What is not finite has score 0; what is
    reported is kept within -1 and 1.
    """
    if "reports" not in world.payout.observes:
        return [None] * len(seen.workers)
    rows = [work.row[w] for w in seen.workers]
    finite = work.finite[rows]
    scores = np.zeros(len(rows))
    if finite.any():
        start = world.models[world.participants[seen.validator].global_model]
        scores[finite] = cosines_to_sum(work.updates[np.array(rows)[finite]], start).round(12)
    told = np.asarray(behaviour.report(seen, scores), dtype=np.float64)
    if told.shape != scores.shape:
        raise ValueError(f"{behaviour!r} reported scores of shape {told.shape}, should be {scores.shape}")
    return np.clip(np.nan_to_num(told), -1.0, 1.0).tolist()
