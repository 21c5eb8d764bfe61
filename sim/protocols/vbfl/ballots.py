"""What validators make of the updates that they may be sent: measurements, verdicts, votes."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from mechanisms import answers
from mechanisms.validators.base import ValidationRule
from mechanisms.vocabulary import ValidationObservation
from sim.chain.transactions import VoteTransaction
from sim.protocols.vbfl.plan import Plan
from sim.training import bribes
from sim.training.voting import vote, waits_for_votes

Pair = tuple[int, int]
"""(validator, worker)."""


@dataclass
class Ballot:
    """One (validator, update) pair: the verdict of the rule, the vote cast, and its status.

    No verdict and no vote: the validator cannot find the update in the store.
    """

    validator: int
    worker: int
    baseline_accuracy: float
    update_accuracy: float
    verdict: bool | None
    vote: bool | None
    status: str = "lost"
    time_s: float | None = None
    score: float | None = None
    transaction: VoteTransaction | None = None


def judge(plan: Plan) -> dict[Pair, Ballot]:
    """Return verdict and vote of every validator on every update, by validator and worker."""
    game, work = plan.game, plan.work
    # What each validator is sent and measures.
    ballots = _unavailable(plan)
    sent: dict[int, list[int]] = {v: [] for v in work.validators}
    for worker in work.workers:
        for v in plan.seats.committee[worker]:
            if (v, worker) not in ballots:
                sent[v].append(worker)
    measured = _measure(plan, sent)

    # What each makes of it. Validators that want to know the votes of others before they cast their
    # own come last.
    waits = {v: waits_for_votes(game.population, v) for v in work.validators}
    support: dict[int, list[bool]] = {w: [] for w in work.workers}
    paid = bribes.collect(
        game.population,
        game.treasury,
        {v: sent[v] for v in measured},
        concede=game.scenario.costs.concede,
        time_s=plan.start_s,
    )
    for v in sorted(measured, key=lambda v: (waits[v], v)):
        seen, workers = measured[v], sent[v]
        # No rule can accept a row that is not finite: it could not be aggregated.
        judged = _verdicts(game.validation, seen)
        verdicts = judged & work.finite[[work.row[w] for w in workers]]
        known = None
        if waits[v]:
            known = _support(support, workers)
        votes, scores = vote(game, work, v, workers, verdicts=verdicts, support=known, paid=paid[v])
        for k, w in enumerate(workers):
            ballots[v, w] = Ballot(
                validator=v,
                worker=w,
                baseline_accuracy=seen.baseline_accuracy,
                update_accuracy=float(seen.update_accuracies[k]),
                verdict=bool(verdicts[k]),
                vote=bool(votes[k]),
                score=scores[k],
            )
            # Waiting validators see the votes of those that did not wait, not each other's.
            if not waits[v]:
                support[w].append(bool(votes[k]))
    return dict(sorted(ballots.items()))


def _verdicts(rule: ValidationRule, seen: ValidationObservation) -> NDArray[np.bool_]:
    """Return the rule's verdict on each update, `bool[n]`."""
    verdicts, shape = rule.verdicts(rule.shown(seen)), (len(seen.workers),)
    kind = answers.BOOL
    return answers.array(rule, "verdicts", verdicts, shape=shape, kind=kind, who=seen.who)


def _support(support: Mapping[int, Sequence[bool]], workers: Sequence[int]) -> np.ndarray:
    """Return the share of positive votes on each worker's update so far; 0.5 without any."""
    shares = np.full(len(workers), 0.5)
    for k, w in enumerate(workers):
        if support[w]:
            shares[k] = np.mean(support[w])
    return shares


def _unavailable(plan: Plan) -> dict[Pair, Ballot]:
    """Return ballots without a vote for the updates that a validator will not find in the store."""
    game = plan.game
    ballots = {}
    if not game.store.off_chain:
        return {}
    for worker in plan.work.workers:
        for v in plan.seats.committee[worker]:
            if not game.store.finds(v, worker, game.clock.round):
                ballots[v, worker] = Ballot(v, worker, math.nan, math.nan, None, None)
    return ballots


def _measure(plan: Plan, sent: Mapping[int, Sequence[int]]) -> dict[int, ValidationObservation]:
    """Return what each validator measures, and what else the validation rule asks to see."""
    rule = plan.game.validation
    measured = {}
    for i, v in enumerate(plan.work.validators):
        if sent[v]:
            measured[v] = _observation(plan, i, v, sent[v])
    if "reports" in rule.observes and rule.individual:
        return _share_reports(measured)
    return measured


def _observation(plan: Plan, i: int, v: int, workers: Sequence[int]) -> ValidationObservation:
    """Return what the i-th validator `v` measures on the updates of some workers."""
    game, work, observes = plan.game, plan.work, plan.game.validation.observes
    seen = ValidationObservation(
        round=game.clock.round,
        validator=v,
        workers=tuple(workers),
        baseline_accuracy=math.nan,
        update_accuracies=np.full(len(workers), math.nan),
    )
    if not game.validation.individual:  # hidden by not being measured at all
        return seen
    x, y = game.bench.split.validation[v]
    game.reduced.note(game.validation, len(y))
    engine = game.bench.engine
    rows = [work.row[w] for w in workers]
    updates = [work.updates[j] for j in rows]
    baseline = engine.evaluate([work.baselines[i]], x, y)
    accuracies = engine.evaluate(updates, x, y, [work.digests[j] for j in rows]).accuracy
    seen = replace(
        seen,
        baseline_accuracy=float(baseline.accuracy[0]),
        update_accuracies=accuracies,
    )
    if "global" in observes:
        model = game.bench.models[game.forks[v].model]
        accuracy = float(engine.evaluate([model], x, y).accuracy[0])
        seen = replace(seen, global_accuracy=accuracy)
    if "samples" in observes:
        correct = engine.correct([work.baselines[i], *updates], x, y)
        seen = replace(seen, correct=correct, labels=y)
    if "updates" in observes:
        seen = replace(seen, updates=work.updates[rows])
    return seen


def _share_reports(
    measured: Mapping[int, ValidationObservation],
) -> dict[int, ValidationObservation]:
    """Give every validator what all validators measured on the updates that it judges."""
    differences = {}
    for v, seen in measured.items():
        for w, accuracy in zip(seen.workers, seen.update_accuracies.tolist(), strict=True):
            differences[v, w] = seen.baseline_accuracy - accuracy
    shared = {}
    for v, seen in measured.items():
        reports = [[differences.get((u, w), np.nan) for w in seen.workers] for u in measured]
        shared[v] = replace(seen, reports=np.array(reports))
    return shared
