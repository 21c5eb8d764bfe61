"""The books of a labelling desk: rows of its tables, and what is counted in a round."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping
from typing import Any

import numpy as np

from sim.clock import Clock
from sim.labelling.contract import Submission, SubmissionStatus, Task
from sim.labelling.items import Items
from sim.labelling.questions import Questions
from sim.labelling.tables import OWN, ROUNDS, TAPE


class LabellingBooks:
    """Rows that are to be recorded, counts of the round, and what annotators have got.

    Args:
        items: with the true labels.
        questions: of open tasks.
        clock: of the run.
    """

    def __init__(self, items: Items, questions: Questions, clock: Clock) -> None:
        self._items, self._questions, self._clock = items, questions, clock
        self.allocated: Counter[int] = Counter()
        self._rows: dict[str, list[dict[str, Any]]] = {name: [] for name in (*OWN, *TAPE)}
        self.begin_round()

    def begin_round(self) -> None:
        """Count from here."""
        self._counts: Counter[str] = Counter()
        self._inspection = 0.0
        self.taken, self._answered, self._right = Counter[int](), Counter[int](), Counter[int]()

    def drain(self) -> dict[str, list[dict[str, Any]]]:
        """Return the rows since the last call by table."""
        rows, self._rows = self._rows, {name: [] for name in (*OWN, *TAPE)}
        return rows

    def round_columns(self) -> dict[str, Any]:
        """Return the columns `tables.ROUNDS`."""
        counts = {name: self._counts[name] for name in ROUNDS}
        return {**counts, "inspection_cost": self._inspection}

    def columns(self, device: int) -> dict[str, Any]:
        """Return the columns `tables.PARTICIPANTS` of an annotator."""
        return {
            "places_taken": self.taken[device],
            "questions_answered": self._answered[device],
            "answers_right": self._right[device],
        }

    # --- what happens -----------------------------------------------------------------------------

    def opened(self, task: Task) -> None:
        """Record a task that was opened: its questions."""
        self._counts["tasks_opened"] += 1
        place = {"round": self._clock.round, "task": task.number}
        self._rows["questions"] += [place | self._questions.record(n) for n in task.questions]

    def answered(self, task: Task, submission: Submission) -> None:
        """Count a submission that was sent."""
        self._counts["labels_answered"] += 1
        self._answered[submission.worker] += len(task.questions)
        self._right[submission.worker] += self._right_of(task, submission)

    def inspected(self, cost: float) -> None:
        """Count effort of the creator, in base units."""
        self._inspection += cost

    def bought(self, number: int, label: int, weight: float) -> None:
        """Record a label that was bought."""
        row = self._questions.row(number)
        right = label == int(self._items.labels[row])
        self._counts["labels_bought"] += 1
        self._counts["labels_right"] += right
        entry = {
            "round": self._clock.round,
            "question": number,
            "item": row,
            "label": label,
            "weight": weight,
            "right": right,
            "difficulty": float(self._items.difficulty[row]),
        }
        self._rows["labels"].append(entry)

    def ended(self, task: Task, refund: int) -> None:
        """Record a task that ended, and its submissions."""
        paid = sum(s.paid for s in task.submissions.values())
        self._counts["tasks_ended"] += 1
        self._counts["labels_paid"] += paid
        self._counts["labels_refunded"] += refund
        for submission in task.submissions.values():
            self.allocated[submission.worker] += submission.paid
            self._counts[_outcome(submission)] += 1
            self._rows["annotations"].append(self._annotation(task, submission))
            if submission.answers is not None:
                self._rows["answers"].append(self._answers(task, submission))
        entry = {
            "round": self._clock.round,
            "task": task.number,
            "opened": task.opened,
            "last": task.last,
            "status": task.status.value,
            "questions": len(task.questions),
            "places": task.places,
            "escrow": task.reward * task.places,
            "paid": paid,
            "refunded": refund,
        }
        self._rows["label_tasks"].append(entry)

    def _annotation(self, task: Task, submission: Submission) -> dict[str, Any]:
        sent = submission.answers is not None
        return {
            "round": self._clock.round,
            "task": task.number,
            "submission": submission.number,
            "device": submission.worker,
            "assigned": submission.since,
            "status": submission.status.value,
            "digest": _digest(submission) if sent else None,
            "right": self._right_of(task, submission) if sent else None,
            "paid": submission.paid,
        }

    def _answers(self, task: Task, submission: Submission) -> dict[str, Any]:
        return {
            "round": self._clock.round,
            "task": task.number,
            "submission": submission.number,
            "device": submission.worker,
            "answers": submission.answers,
        }

    def _right_of(self, task: Task, submission: Submission) -> int:
        return int((np.array(submission.answers) == self._questions.truth(task.questions)).sum())

    # --- checkpoints ------------------------------------------------------------------------------

    def to_state(self) -> dict[str, Any]:
        """Return JSON values at a round boundary, after the rows were drained."""
        return {"allocated": {str(d): amount for d, amount in self.allocated.items()}}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Continue from `to_state`."""
        self.allocated = Counter({int(d): amount for d, amount in state["allocated"].items()})


def _outcome(submission: Submission) -> str:
    """Return the column of the round in which a submission counts."""
    if submission.answers is None:
        return "labels_lapsed"
    accepted = submission.status is SubmissionStatus.ACCEPTED
    return "labels_accepted" if accepted else "labels_rejected"


def _digest(submission: Submission) -> str:
    return hashlib.sha256(",".join(map(str, submission.answers or [])).encode()).hexdigest()
