"""Votes and scores of one validator."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from mechanisms import answers
from mechanisms.geometry import cosines_to_sum
from mechanisms.vocabulary import VoteObservation
from sim.population.population import Population
from sim.training.game import TrainingGame
from sim.training.local_work import LocalWork


def waits_for_votes(population: Population, validator: int) -> bool:
    """Return whether a validator wants to know the votes of others before it casts its own."""
    return "votes" in population[validator].behaviour("validator").knows


def vote(
    game: TrainingGame,
    work: LocalWork,
    validator: int,
    workers: Sequence[int],
    *,
    verdicts: NDArray[np.bool_],
    support: NDArray[np.float64] | None,
    paid: NDArray[np.bool_],
) -> tuple[NDArray[np.bool_], list[float | None]]:
    """Return a validator's votes on `workers`, and a score of each.

    The score is None where no rule asks for it. `support` and `paid` are as in `VoteObservation`.
    """
    behaviour = game.population[validator].behaviour("validator")
    seen = VoteObservation(
        round=game.clock.round,
        validator=validator,
        workers=tuple(workers),
        verdicts=verdicts,
        rng=game.streams.rng("adversary.validator", validator, game.clock.round),
        coalition=game.population.coalitions[validator],
        paid=paid,
        **({} if support is None else {"support": support}),
    ).shown_to(behaviour.knows)
    shape, who = (len(workers),), seen.who
    votes = behaviour.vote(seen)
    votes = answers.array(behaviour, "vote", votes, shape=shape, kind=answers.BOOL, who=who)
    if "reports" not in game.payout.observes:
        return votes, [None] * len(workers)
    scores = _similarity(game, work, seen)
    scores.setflags(write=False)
    reported = behaviour.report(seen, scores)
    reported = answers.array(
        behaviour, "report", reported, shape=shape, kind=answers.FLOAT, who=who
    )
    return votes, np.clip(np.nan_to_num(reported), -1.0, 1.0).tolist()


def _similarity(game: TrainingGame, work: LocalWork, seen: VoteObservation) -> NDArray[np.float64]:
    """Return the cosine of each worker's change to the mean change of all finite ones sent.

    0 for a row that is not finite.
    """
    rows = np.array([work.row[w] for w in seen.workers])
    finite = work.finite[rows]
    scores = np.zeros(len(rows))
    if finite.any():
        start = game.bench.models[game.forks[seen.validator].model]
        scores[finite] = cosines_to_sum(work.updates[rows[finite]], start).round(12)
    return scores
