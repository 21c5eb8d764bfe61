"""Suites of labelling rules, annotators and creators."""

from __future__ import annotations

import copy
import json
from dataclasses import replace
from typing import Any

import numpy as np
from hypothesis import strategies as st

from experiments.conformance.common import Conformance, check_array, check_equal
from experiments.conformance.generated import holds_for
from mechanisms import answers
from mechanisms.vocabulary import (
    UNKNOWN,
    AnnotatorObservation,
    CreatorObservation,
    LabellingObservation,
    TakingObservation,
)

DEVICE = 3


@st.composite
def judged(draw: Any) -> LabellingObservation:
    """Draw the answers to a task: 1 to 6 submissions, 1 to 12 questions, 2 to 5 labels."""
    n, q, options = draw(st.integers(1, 6)), draw(st.integers(1, 12)), draw(st.integers(2, 5))
    rng = np.random.default_rng(draw(st.integers(0, 1_000)))
    truth = rng.integers(options, size=q)
    guesses = rng.integers(options, size=(n, q))
    looks = rng.random((n, q)) < draw(st.sampled_from((0.0, 0.5, 0.9, 1.0)))
    known = rng.random(q) < draw(st.sampled_from((0.0, 0.3, 1.0)))
    return LabellingObservation(
        round=draw(st.integers(1, 9)),
        options=options,
        workers=tuple(rng.permutation(20)[:n].tolist()),
        answers=np.where(looks, truth, guesses),
        points=rng.integers(1, 5, size=q),
        memory={},
        gold=np.where(known, truth, UNKNOWN),
    )


class LabellingConformance(Conformance):
    """Judgements are well formed, depend on nobody's name or place, and lose no money."""

    @holds_for(examples=30, first=judged(), second=judged())
    def test_judgement(self, first, second):
        for rule in self.made():
            memory: Any = {}
            for seen in (
                first,
                replace(second, options=first.options, answers=_cut(first, second)),
            ):
                shown = replace(seen, memory=memory).shown_to(rule.observes)
                found = answers.judgement(rule, rule.judge(shown), seen)
                earned = found.earned(seen.points)
                assert (earned >= 0).all(), "earned points are negative"
                assert (earned <= seen.points.sum()).all(), "more is earned than there are points"
                again = rule.judge(shown)
                check_equal(again.scores, found.scores, "the same answers give other scores")
                check_equal(again.labels, found.labels, "the same answers give other labels")
                if found.memory is not None:
                    memory = answers.plain_memory(rule, "judge", found.memory)
                    assert json.loads(json.dumps(memory)) == memory

    @holds_for(examples=30, seen=judged(), seed=st.integers(0, 99))
    def test_order_and_names_do_not_matter(self, seen, seed):
        n, q = seen.answers.shape
        rng = np.random.default_rng(seed)
        rows, columns = rng.permutation(n), rng.permutation(q)
        moved = replace(
            seen,
            workers=tuple(range(30, 30 + n)),
            answers=seen.answers[rows][:, columns],
            points=seen.points[columns],
            gold=seen.gold[columns],
        )
        for rule in self.made():
            here = rule.judge(seen.shown_to(rule.observes))
            there = rule.judge(moved.shown_to(rule.observes))
            expected = here.scores[rows][:, columns]
            check_equal(there.scores, expected, "scores depend on order or names", atol=1e-6)
            sure = here.weights[columns] > 0.5 + 1e-6
            found, wanted = there.labels[sure], here.labels[columns][sure]
            check_equal(found, wanted, "labels depend on order or names")


def _cut(first: LabellingObservation, second: LabellingObservation) -> np.ndarray:
    """Return the answers of the second task with the labels that the first one has."""
    return second.answers % first.options


@st.composite
def tasks(draw: Any) -> AnnotatorObservation:
    """Draw what device 3 sees of a task: 1 to 12 questions, 2 to 5 labels."""
    q, options = draw(st.integers(1, 12)), draw(st.integers(2, 5))
    rng = np.random.default_rng(draw(st.integers(0, 1_000)))
    start = draw(st.integers(0, 10**6))
    return AnnotatorObservation(
        device=DEVICE,
        round=draw(st.integers(1, 9)),
        questions=np.arange(start, start + q),
        options=options,
        reward=draw(st.integers(1, 10**6)),
        coalition=draw(st.sampled_from((frozenset(), frozenset({1, 3, 5})))),
        rng=np.random.default_rng(draw(st.integers(0, 99))),
        signals=rng.integers(options, size=q),
        shared=rng.integers(options, size=q),
    )


class AnnotatorConformance(Conformance):
    """Answers are labels, one a question, and the same for the same stream."""

    @holds_for(examples=25, task=tasks())
    def test_answer(self, task):
        for behaviour in self.made():
            given = behaviour.answer(copy.deepcopy(task).shown_to(behaviour.knows))
            again = behaviour.answer(copy.deepcopy(task).shown_to(behaviour.knows))
            share = behaviour.effort(copy.deepcopy(task).shown_to(behaviour.knows))
            assert 0 <= share <= 1, f"effort is a share of the questions, not {share!r}"
            skill = behaviour.skill
            assert skill is None or 0 <= skill <= 1, f"skill is a probability, not {skill!r}"
            if given is None:
                assert again is None, "the same stream must give the same answers"
                continue
            n, options = len(task.questions), task.options
            answers.labels(behaviour, "answer", given, n, options, task.who)
            check_equal(again, given, "the same stream must give the same answers")

    @holds_for(
        examples=25, most=st.integers(1, 9), more=st.integers(0, 9), reward=st.floats(0, 1e9)
    )
    def test_take(self, most, more, reward):
        for behaviour in self.made():
            seen = TakingObservation(
                device=DEVICE,
                round=2,
                tasks=most + more,
                reward=reward,
                cost=1_000.0,
                most=most,
                rng=np.random.default_rng(0),
                coalition=frozenset({1, 3, 5}),
            )
            wanted = answers.whole(behaviour, "take", behaviour.take(seen), who=seen.who)
            assert wanted <= most, f"takes {wanted} tasks, at most {most}"


class CreatorConformance(Conformance):
    """A decision for each submission, the same for the same stream."""

    @holds_for(examples=25, seen=judged(), seed=st.integers(0, 99))
    def test_accept(self, seen, seed):
        for creator in self.made():
            first, again = (self._accepted(creator, seen, seed) for _ in range(2))
            check_array(first, (len(seen.answers),), np.bool_, "accept")
            check_equal(again, first, "the same stream must give the same decisions")

    @staticmethod
    def _accepted(creator: Any, seen: LabellingObservation, seed: int) -> np.ndarray:
        shown = CreatorObservation(
            round=seen.round,
            workers=seen.workers,
            answers=seen.answers,
            options=seen.options,
            reward=1_000,
            rng=np.random.default_rng(seed),
            checked=seen.gold,
        )
        return creator.accept(shown.shown_to(creator.knows))
