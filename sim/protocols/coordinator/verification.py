"""What a verifier and its committee make of the updates that were revealed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from mechanisms import answers
from mechanisms.vocabulary import UpdateRecord, VerificationObservation
from sim.protocols.coordinator.game import CoordinatorGame
from sim.protocols.coordinator.record import CastVote
from sim.training import bribes
from sim.training.local_work import LocalWork
from sim.training.server import claimed
from sim.training.voting import vote, waits_for_votes


@dataclass
class Tally:
    """Votes on one update: who voted for it, who against it, and the scores that were reported."""

    positive: list[int] = field(default_factory=list)
    negative: list[int] = field(default_factory=list)
    scores: list[tuple[int, float]] = field(default_factory=list)

    @property
    def support(self) -> float:
        """Share of positive votes; 0 without votes."""
        return len(self.positive) / max(1, len(self.positive) + len(self.negative))

    def add(self, validator: int, accepts: bool, score: float | None) -> None:
        """Count one vote."""
        side = self.positive if accepts else self.negative
        side.append(validator)
        if score is not None:
            self.scores.append((validator, score))

    def applied_to(self, record: UpdateRecord) -> UpdateRecord:
        """Return the record with these votes; a tie accepts."""
        return replace(
            record,
            positive=tuple(sorted(self.positive)),
            negative=tuple(sorted(self.negative)),
            accepted=len(self.positive) >= len(self.negative),
            reports=tuple(sorted(self.scores)),
        )


def verdicts_on(game: CoordinatorGame, work: LocalWork, judged: Sequence[int]) -> NDArray[np.bool_]:
    """Return the verdict of each verifier on the updates of some workers, `bool[verifiers, n]`."""
    verifier = game.verifier
    seen = VerificationObservation(
        round=game.clock.round,
        workers=tuple(judged),
        genuine=work.sent.genuine[[work.row[w] for w in judged]],
        rng=game.streams.rng("verification", game.clock.round),
    )
    shape = (max(1, verifier.committee), len(judged))
    verdicts = verifier.verdicts(seen)
    return answers.array(verifier, "verdicts", verdicts, shape=shape, kind=answers.BOOL)


def let_vote(
    game: CoordinatorGame,
    work: LocalWork,
    judged: Sequence[int],
    *,
    committee: Sequence[int],
    verdicts: NDArray[np.bool_],
    time_s: float,
) -> tuple[tuple[UpdateRecord, ...], list[CastVote]]:
    """Let each committee member vote on its verdicts; return the judged updates and the votes.

    Members that wait for votes of others come last.
    """
    tallies = {w: Tally() for w in judged}
    cast: list[CastVote] = []
    waits = {v: waits_for_votes(game.population, v) for v in committee}
    paid = bribes.collect(
        game.population,
        game.treasury,
        dict.fromkeys(committee, judged),
        concede=game.scenario.costs.concede,
        time_s=time_s,
    )
    seats = {v: k for k, v in enumerate(committee)}
    for v in sorted(committee, key=lambda v: (waits[v], v)):
        own = verdicts[seats[v]]
        support = None
        if waits[v]:
            support = np.array([tallies[w].support for w in judged])
        votes, scores = vote(game, work, v, judged, verdicts=own, support=support, paid=paid[v])
        for k, w in enumerate(judged):
            tallies[w].add(v, bool(votes[k]), scores[k])
            cast.append(CastVote(v, w, bool(own[k]), bool(votes[k]), time_s))
    records = tuple(tallies[w].applied_to(claimed(work, w)) for w in judged)
    return records, cast
