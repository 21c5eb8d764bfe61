"""The contract of labelling tasks: who may do what when, and the escrow that pays for it.

    task        created -> in progress -> completed
                created, or without a single answer -> withdrawn
    submission  assigned -> pending validation -> accepted or rejected
                assigned -> rejected, when nothing is sent in time

A task's escrow holds its reward once for each place. An accepted submission is paid out of it,
what is left when the task ends goes back to the payer: no sequence of calls pays more or keeps any.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any

from fedstake.errors import FedstakeError
from mechanisms.vocabulary import Payment
from sim.clock import Clock
from sim.money.treasury import Treasury

FUNDED, PAID, REFUNDED = "labelling.escrow", "labelling.reward", "labelling.refund"
"""Reasons of payments."""


class LabellingError(FedstakeError):
    """A call that the contract refuses; nothing has changed."""


class TaskStatus(StrEnum):
    """Where a task is in its life."""

    CREATED = "created"
    IN_PROGRESS = "in progress"
    COMPLETED = "completed"
    WITHDRAWN = "withdrawn"


class SubmissionStatus(StrEnum):
    """Where a submission is in its life."""

    ASSIGNED = "assigned"
    PENDING = "pending validation"
    ACCEPTED = "accepted"
    REJECTED = "rejected"


@dataclass
class Submission:
    """A place of a task that a worker took.

    `since`: the round in which it did; `answers`: one label a question, once they are sent.
    """

    number: int
    task: int
    worker: int
    since: int
    status: SubmissionStatus = SubmissionStatus.ASSIGNED
    answers: list[int] | None = None
    paid: int = 0


@dataclass
class Task:
    """A batch of questions that some workers answer, each all of them.

    questions    numbers of its questions
    reward       base units of an accepted submission at most
    places       how many submissions it takes
    opened, last  first and last round in which it can be taken and answered
    payer        device or account that funds the escrow and gets back what is left
    account      of the escrow
    submissions  by number; those that lapsed no longer take a place
    """

    number: int
    questions: list[int]
    reward: int
    places: int
    opened: int
    last: int
    payer: int | str
    account: str
    status: TaskStatus = TaskStatus.CREATED
    submissions: dict[int, Submission] = field(default_factory=dict)
    lapsed: list[int] = field(default_factory=list)

    @property
    def open(self) -> bool:
        """Whether it is not over yet."""
        return self.status in (TaskStatus.CREATED, TaskStatus.IN_PROGRESS)

    @property
    def free(self) -> int:
        """How many places nobody has taken."""
        return self.places - len(self.submissions) + len(self.lapsed)

    @property
    def full(self) -> bool:
        """Whether every place has its answers."""
        return self.free == 0 and not any(self.with_status(SubmissionStatus.ASSIGNED))

    def known_to(self, worker: int) -> bool:
        """Return whether a worker has, or had, a place of it."""
        return any(s.worker == worker for s in self.submissions.values())

    def with_status(self, *statuses: SubmissionStatus) -> Iterator[Submission]:
        """Yield its submissions with one of these statuses, oldest first."""
        return (s for s in list(self.submissions.values()) if s.status in statuses)


class TaskContract:
    """Open tasks, and the only calls that change them.

    Every call raises `LabellingError`, and changes nothing, where it is not allowed.

    Args:
        treasury: that holds the escrows.
        clock: of the run.
    """

    def __init__(self, treasury: Treasury, clock: Clock) -> None:
        self._treasury, self._clock = treasury, clock
        self.tasks: dict[int, Task] = {}
        self._next_task = self._next_submission = 0

    def find(self, number: int) -> Task:
        """Return an open task; raise `LabellingError` where there is none of this number."""
        _require(number in self.tasks, f"there is no open task {number}")
        return self.tasks[number]

    def held(self, payer: int | str) -> int:
        """Return the base units that a device or an account holds."""
        treasury = self._treasury
        return treasury.balance(payer) if isinstance(payer, int) else treasury.held(payer)

    # --- the payer's calls --------------------------------------------------------------------

    def create(
        self, questions: Sequence[int], *, reward: int, places: int, rounds: int, payer: int | str
    ) -> Task:
        """Open a task and fund its escrow with `reward * places` base units.

        Args:
            questions: their numbers.
            reward: base units of an accepted submission at most.
            places: how many submissions it takes.
            rounds: for how many rounds it is open, this one included.
            payer: device or account.
        """
        _require(len(questions) > 0, "a task needs a question")
        _require(reward > 0, f"the reward is {reward}: must be above 0 base units")
        _require(places > 0, f"places = {places}: a task needs at least one")
        _require(rounds > 0, f"rounds = {rounds}: a task is open for at least one")
        escrow = reward * places
        held = self.held(payer)
        _require(escrow <= held, f"{payer!r} holds {held} base units, the escrow takes {escrow}")
        account = self._free_account()
        self._treasury.add_accounts([account])
        self._treasury.post([Payment(account, escrow, FUNDED, payer)])
        now = self._clock.round
        number, self._next_task = self._next_task, self._next_task + 1
        whole = list(questions)
        task = Task(number, whole, reward, places, now, now + rounds - 1, payer, account)
        self.tasks[number] = task
        return task

    def accept(self, task: Task, submission: Submission, amount: int) -> None:
        """Pay a submission that awaits validation, at most the reward."""
        self._require_pending(task, submission)
        _require(0 <= amount <= task.reward, f"pays {amount} of a reward of {task.reward}")
        self._treasury.post([Payment(submission.worker, amount, PAID, task.account)])
        submission.paid = amount
        submission.status = SubmissionStatus.ACCEPTED

    def reject(self, task: Task, submission: Submission) -> None:
        """Pay nothing for a submission that awaits validation."""
        self._require_pending(task, submission)
        submission.status = SubmissionStatus.REJECTED

    def lapse(self, task: Task, submission: Submission) -> None:
        """Take a place back from a worker that has sent nothing; it does not get it again."""
        _require(task.open, f"task {task.number} is {task.status}")
        wanted = submission.status is SubmissionStatus.ASSIGNED
        _require(wanted, f"submission {submission.number} is {submission.status}, not assigned")
        submission.status = SubmissionStatus.REJECTED
        task.lapsed.append(submission.number)

    def withdraw(self, task: Task) -> int:
        """End a task that nobody has taken, and return the base units that go back."""
        _require(task.status is TaskStatus.CREATED, f"task {task.number} is {task.status}")
        return self._end(task, TaskStatus.WITHDRAWN)

    def complete(self, task: Task) -> int:
        """End a task of which nothing is left to decide; return the base units that go back.

        One without a single answer counts as withdrawn.
        """
        _require(task.open, f"task {task.number} is {task.status}")
        undecided = [*task.with_status(SubmissionStatus.ASSIGNED, SubmissionStatus.PENDING)]
        _require(not undecided, f"task {task.number} has {len(undecided)} undecided submissions")
        answered = any(s.answers is not None for s in task.submissions.values())
        return self._end(task, TaskStatus.COMPLETED if answered else TaskStatus.WITHDRAWN)

    # --- the workers' calls -------------------------------------------------------------------

    def assign(self, task: Task, worker: int) -> Submission:
        """Give a worker a place of a task, one at most."""
        self._require_time(task)
        _require(task.free > 0, f"task {task.number} has no free place")
        _require(not task.known_to(worker), f"device {worker} has, or had, a place already")
        _require(worker != task.payer, f"device {worker} cannot answer its own task")
        number, self._next_submission = self._next_submission, self._next_submission + 1
        submission = Submission(number, task.number, worker, self._clock.round)
        task.submissions[number] = submission
        task.status = TaskStatus.IN_PROGRESS
        return submission

    def submit(
        self, task: Task, submission: Submission, worker: int, answers: Sequence[int]
    ) -> None:
        """Send the answers to all questions of a task."""
        self._require_time(task)
        own = submission.worker
        _require(worker == own, f"submission {submission.number} is device {own}'s")
        wanted = submission.status is SubmissionStatus.ASSIGNED
        _require(wanted, f"submission {submission.number} is {submission.status}, not assigned")
        n = len(task.questions)
        _require(len(answers) == n, f"{len(answers)} answers to {n} questions")
        submission.answers = list(answers)
        submission.status = SubmissionStatus.PENDING

    # --- helpers ------------------------------------------------------------------------------

    def _end(self, task: Task, status: TaskStatus) -> int:
        left = self._treasury.held(task.account)
        self._treasury.post([Payment(task.payer, left, REFUNDED, task.account)])
        task.status = status
        del self.tasks[task.number]
        return left

    def _free_account(self) -> str:
        """Return the first escrow account that no open task uses: a chain has not many."""
        used = {task.account for task in self.tasks.values()}
        numbers = range(len(used) + 1)
        return next(name for name in map("escrow:task:{}".format, numbers) if name not in used)

    def _require_time(self, task: Task) -> None:
        _require(task.open, f"task {task.number} is {task.status}")
        over = self._clock.round > task.last
        _require(not over, f"task {task.number} was open until round {task.last}")

    def _require_pending(self, task: Task, submission: Submission) -> None:
        _require(task.open, f"task {task.number} is {task.status}")
        wanted = submission.status is SubmissionStatus.PENDING
        _require(wanted, f"submission {submission.number} is {submission.status}, not pending")

    # --- checkpoints --------------------------------------------------------------------------

    def to_state(self) -> dict[str, Any]:
        """Return JSON values: the open tasks; the escrows are the treasury's."""
        tasks = []
        for task in self.tasks.values():
            submissions = [asdict(s) for s in task.submissions.values()]
            tasks.append({**asdict(task), "submissions": submissions})
        return {"tasks": tasks, "next": [self._next_task, self._next_submission]}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Continue from `to_state`."""
        self._next_task, self._next_submission = state["next"]
        self.tasks = {values["number"]: _task(values) for values in state["tasks"]}


def _task(values: Mapping[str, Any]) -> Task:
    """Return a task from plain values."""
    submissions = {}
    for entry in values["submissions"]:
        status = SubmissionStatus(entry["status"])
        submissions[entry["number"]] = Submission(**{**entry, "status": status})
    own = {"status": TaskStatus(values["status"]), "submissions": submissions}
    return Task(**{**values, **own})


def _require(holds: bool, message: str) -> None:
    if not holds:
        raise LabellingError(message)
