"""Decisions on submissions: by the rule, by nobody, or by the creator of the task."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agents import registries as behaviours
from agents.creators.base import Creator
from mechanisms import answers
from mechanisms import registries as rules
from mechanisms.labelling.base import LabellingRule
from mechanisms.split import part
from mechanisms.vocabulary import (
    ABSENT,
    UNKNOWN,
    CreatorObservation,
    Judgement,
    LabellingObservation,
    Labels,
)
from sim.clock import Clock
from sim.labelling.books import LabellingBooks
from sim.labelling.contract import Submission, SubmissionStatus, Task, TaskContract
from sim.labelling.items import Items
from sim.labelling.questions import Questions
from sim.labelling.settings import LabellingSettings
from sim.streams import Streams


class Decisions:
    """Who is paid for a task, and which labels its answers come to.

    `memory` is what the rule remembers of earlier tasks.

    Args:
        settings: the keys of the table `labelling`.
        items: what is labelled.
        contract: that pays and refuses.
        questions: of open tasks.
        books: where the effort of the creator is counted.
        streams: of the run.
        clock: of the run.
    """

    def __init__(
        self,
        settings: LabellingSettings,
        items: Items,
        contract: TaskContract,
        questions: Questions,
        books: LabellingBooks,
        streams: Streams,
        clock: Clock,
    ) -> None:
        self._settings, self._options = settings, items.options
        self._contract, self._questions, self._books = contract, questions, books
        self._streams, self._clock = streams, clock
        self.rule: LabellingRule = rules.labelling.create(settings.rule, settings.params)
        self.creator: Creator = behaviours.creators.create(
            settings.creator, settings.creator_params
        )
        self.memory: dict[str, Any] = {}

    def decide(self, task: Task, sent: Sequence[Submission]) -> Judgement | None:
        """Pay or refuse the submissions that were sent; return what the answers come to.

        None where the creator uses none of them.
        """
        if self._settings.acceptance == "manual":
            used = self._by_hand(task, sent)
            return self._judged(task, used) if used else None
        judged = self._judged(task, sent)
        if self._settings.acceptance == "rule":
            earned = judged.earned(self._questions.points(task.questions)).tolist()
            for submission, points in zip(sent, earned, strict=True):
                self._pay(task, submission, part(self._settings.unit, points))
        return judged

    def _pay(self, task: Task, submission: Submission, amount: int) -> None:
        if amount:
            self._contract.accept(task, submission, amount)
        else:
            self._contract.reject(task, submission)

    def _by_hand(self, task: Task, sent: Sequence[Submission]) -> list[Submission]:
        """Let the creator decide; return the submissions whose answers it uses."""
        creator = self.creator
        seen = CreatorObservation(
            round=self._clock.round,
            workers=tuple(s.worker for s in sent),
            answers=_matrix(sent),
            options=self._options,
            reward=task.reward,
            rng=self._streams.rng("labelling creator", task.number),
            checked=self._checked(task) if "checked" in creator.knows else ABSENT,
        )
        accepted = creator.accept(seen.shown_to(creator.knows))
        flags = answers.array(creator, "accept", accepted, shape=(len(sent),), kind=answers.BOOL)
        for submission, good in zip(sent, flags.tolist(), strict=True):
            self._pay(task, submission, task.reward if good else 0)
        return [s for s in sent if creator.keeps or s.status is SubmissionStatus.ACCEPTED]

    def _checked(self, task: Task) -> Labels:
        """Return the labels that the creator knows, and count the effort of looking."""
        checked = self._questions.checked(task.questions)
        looked = int((checked != UNKNOWN).sum()) - self._questions.gold_of(task.questions)
        self._books.inspected(looked * self._settings.inspection_cost)
        return checked

    def _judged(self, task: Task, sent: Sequence[Submission]) -> Judgement:
        """Return what the rule makes of answers."""
        seen = LabellingObservation(
            round=self._clock.round,
            options=self._options,
            workers=tuple(s.worker for s in sent),
            answers=_matrix(sent),
            points=self._questions.points(task.questions),
            memory=self.memory,
            gold=self._questions.gold(task.questions),
        )
        found = self.rule.judge(seen.shown_to(self.rule.observes))
        judged = answers.judgement(self.rule, found, seen)
        if judged.memory is not None:
            self.memory = answers.plain_memory(self.rule, "judge", judged.memory)
        return judged


def _matrix(sent: Iterable[Submission]) -> NDArray[np.int64]:
    """Return the answers of submissions, `int64[n, q]`."""
    return np.array([s.answers for s in sent], dtype=np.int64)
