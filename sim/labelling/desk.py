"""The desk: tasks are opened, taken, answered and ended; labels are bought."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from mechanisms import answers
from mechanisms.failures import broken
from mechanisms.vocabulary import (
    ABSENT,
    UNKNOWN,
    AnnotatorObservation,
    Judgement,
    Labels,
    TakingObservation,
)
from sim.clock import Clock
from sim.labelling.books import LabellingBooks
from sim.labelling.contract import (
    LabellingError,
    Submission,
    SubmissionStatus,
    Task,
    TaskContract,
)
from sim.labelling.decisions import Decisions
from sim.labelling.items import BoughtLabels, Items
from sim.labelling.questions import Questions
from sim.labelling.settings import LabellingSettings
from sim.money.treasury import Treasury
from sim.recording import History, Incidents
from sim.streams import Streams

if TYPE_CHECKING:  # listing the games of the house must not import Mesa
    from sim.population.participant import Participant

SILENT = "held a place of a labelling task and sent nothing"


class LabellingDesk:
    """Where labels are bought.

    In a round `begin_round` comes first, then `open_campaign`, then `play_round`; `close` follows
    the last round. After each of them `rows` has what is to be recorded.

    Args:
        settings: the keys of the table `labelling`.
        items: what can be labelled.
        people: the annotators.
        coalitions: by device the members of its group, nobody for an honest one.
        treasury: that moves the money.
        incidents: where places without answers are noted.
        streams: of the run.
        clock: of the run.
    """

    def __init__(
        self,
        settings: LabellingSettings,
        items: Items,
        people: Sequence[Participant],
        coalitions: Sequence[frozenset[int]],
        *,
        treasury: Treasury,
        incidents: Incidents,
        streams: Streams,
        clock: Clock,
    ) -> None:
        self.settings, self.items = settings, items
        self._people = {p.device: p for p in people}
        self._coalitions = coalitions
        self._incidents, self._streams, self._clock = incidents, streams, clock
        self.contract = TaskContract(treasury, clock)
        self.questions = Questions(settings, items, streams)
        self.books = LabellingBooks(items, self.questions, clock)
        self.decisions = Decisions(
            settings, items, self.contract, self.questions, self.books, streams, clock
        )
        self._skills = {device: self._drawn_skill(device) for device in self._people}
        self._bought: list[tuple[int, int, float]] = []
        self._returned: list[int] = []
        self.begin_round()

    def begin_round(self) -> None:
        """Count from here."""
        self.books.begin_round()
        self._costs: dict[int, float] = {}

    # --- tasks are opened -------------------------------------------------------------------------

    def open_campaign(
        self, rows: Sequence[int], *, payer: int | str, known: Sequence[int] = ()
    ) -> int:
        """Open tasks that ask for the labels of items, and return how many of the rows are asked.

        Whole batches in the order of `rows`, until these end or the payer cannot fund another.

        Args:
            rows: items without a label, no two the same.
            payer: device or account that funds the escrows and gets back what is left.
            known: items whose label the creator knows, for gold questions.
        """
        settings, asked = self.settings, 0
        for start in range(0, len(rows) - settings.fresh + 1, settings.fresh):
            if self.contract.held(payer) < settings.escrow:
                break
            fresh = rows[start : start + settings.fresh]
            self._open(fresh, payer, known)
            asked += len(fresh)
        return asked

    def _open(self, fresh: Sequence[int], payer: int | str, known: Sequence[int]) -> None:
        settings = self.settings
        numbers = self.questions.add(fresh, known)
        task = self.contract.create(
            numbers,
            reward=settings.reward,
            places=settings.places,
            rounds=settings.rounds,
            payer=payer,
        )
        self.books.opened(task)

    # --- a round ----------------------------------------------------------------------------------

    def play_round(self, online: Collection[int]) -> None:
        """Let annotators who are online take tasks and answer them, and end what is over."""
        self._take_back()
        self._take(online)
        self._answer(online)
        for task in list(self.contract.tasks.values()):
            if task.full or self._clock.round >= task.last:
                self._settle(task)

    def close(self) -> None:
        """End all tasks: what was answered is decided on, and the rest of the money goes back."""
        for task in list(self.contract.tasks.values()):
            self._settle(task)

    def _take_back(self) -> None:
        """Take places back that are held for too long."""
        if not self.settings.hold:
            return
        oldest = self._clock.round - self.settings.hold
        for task in self.contract.tasks.values():
            for submission in task.with_status(SubmissionStatus.ASSIGNED):
                if submission.since <= oldest:
                    self._lapse(task, submission)

    def _lapse(self, task: Task, submission: Submission) -> None:
        self.contract.lapse(task, submission)
        self._incidents.note(self._clock.time_s, submission.worker, None, SILENT)

    # --- annotators -------------------------------------------------------------------------------

    def _take(self, online: Collection[int]) -> None:
        """Let annotators take free places, in an order that is drawn in each round."""
        allowed = self.settings.allowed or self._people
        here = [device for device in self._people if device in online and device in allowed]
        rng = self._streams.rng("labelling order", self._clock.round)
        held = Counter(
            s.worker
            for task in self.contract.tasks.values()
            for s in task.with_status(SubmissionStatus.ASSIGNED)
        )
        for device in rng.permutation(here).tolist():
            open_to = [t for t in self._free() if not t.known_to(device)]
            most = min(self.settings.most - held[device], len(open_to))
            if most > 0:
                for task in open_to[: self._wanted(device, open_to, most)]:
                    self.contract.assign(task, device)
                    self.books.taken[device] += 1

    def _free(self) -> list[Task]:
        return [task for task in self.contract.tasks.values() if task.free]

    def _wanted(self, device: int, open_to: Sequence[Task], most: int) -> int:
        """Return how many tasks an annotator takes."""
        behaviour = self._people[device].behaviour("annotator")
        n = np.mean([len(task.questions) for task in open_to])
        seen = TakingObservation(
            device=device,
            round=self._clock.round,
            tasks=len(open_to),
            reward=float(np.mean([task.reward for task in open_to])),
            cost=float(n) * self.settings.cost,
            most=most,
            rng=self._streams.rng("labelling take", device, self._clock.round),
            coalition=frozenset(self._coalitions[device] & self._people.keys()),
        )
        wanted = answers.whole(behaviour, "take", behaviour.take(seen), who=seen.who)
        if wanted > most:
            raise broken(behaviour, "take", f"takes {wanted} tasks, at most {most}", seen.who)
        return wanted

    def _answer(self, online: Collection[int]) -> None:
        """Let annotators answer what they hold."""
        for task in self.contract.tasks.values():
            for submission in task.with_status(SubmissionStatus.ASSIGNED):
                if submission.worker in online:
                    self._answer_one(task, submission)

    def _answer_one(self, task: Task, submission: Submission) -> None:
        device = submission.worker
        behaviour = self._people[device].behaviour("annotator")
        seen = self._seen(task, device, behaviour.knows)
        given = behaviour.answer(seen.shown_to(behaviour.knows))
        if given is None:
            return
        n = len(task.questions)
        checked = answers.labels(behaviour, "answer", given, n, self.items.options, seen.who)
        effort = behaviour.effort(seen.shown_to(behaviour.knows))
        share = answers.probability(behaviour, "effort", effort, seen.who)
        self._costs[device] = self._costs.get(device, 0.0) + share * n * self.settings.cost
        self._send(task, submission, checked.tolist())

    def _send(self, task: Task, submission: Submission, given: Sequence[int]) -> None:
        """Send the answers of a place; they are paid at once where nobody decides."""
        self.contract.submit(task, submission, submission.worker, given)
        self.books.answered(task, submission)
        if self.settings.acceptance == "auto":
            self.contract.accept(task, submission, task.reward)

    # --- by hand ----------------------------------------------------------------------------------

    def questionnaire(self) -> list[dict[str, Any]]:
        """Return the questions of open tasks as anybody may see them: no label, no difficulty."""
        rows = []
        for task in self.contract.tasks.values():
            place = {"task": task.number, "reward": task.reward, "last": task.last}
            rows += [place | self.questions.public(number) for number in task.questions]
        return rows

    def submit(self, device: int, task: int, given: Sequence[int]) -> Submission:
        """Answer all questions of a task by hand, for somebody who may have no place of it yet.

        Raises `LabellingError` where the contract refuses: no such task, no place, no time, a label
        that there is not.
        """
        found = self.contract.find(task)
        options = self.items.options
        if not all(type(label) is int and 0 <= label < options for label in given):
            raise LabellingError(f"answers must be labels in 0..{options - 1}")
        if len(given) != len(found.questions):  # before a place is taken
            raise LabellingError(f"{len(given)} answers to {len(found.questions)} questions")
        held = found.with_status(SubmissionStatus.ASSIGNED)
        own = next((s for s in held if s.worker == device), None)
        if device not in (self.settings.allowed or self._people):
            raise LabellingError(f"device {device} is not allowed to answer")
        submission = own or self.contract.assign(found, device)
        self._send(found, submission, given)
        return submission

    def _seen(self, task: Task, device: int, knows: Collection[str]) -> AnnotatorObservation:
        """Return what an annotator sees of a task; signals only where it declares them."""
        fellows = self._coalitions[device] & self._people.keys()
        first = min(fellows, default=device)
        return AnnotatorObservation(
            device=device,
            round=self._clock.round,
            questions=np.array(task.questions),
            options=self.items.options,
            reward=task.reward,
            rng=self._streams.rng("labelling answer", device, task.number),
            coalition=frozenset(self._coalitions[device] & self._people.keys()),
            signals=self._signals(task, device) if "signals" in knows else ABSENT,
            shared=self._signals(task, first) if "shared" in knows else ABSENT,
        )

    def _signals(self, task: Task, device: int) -> Labels:
        """Return what a device perceives of the items of a task, the same each time it looks."""
        behaviour = self._people[device].behaviour("annotator")
        skill = self._skills[device]
        if behaviour.skill is not None:
            skill = answers.probability(behaviour, "skill", behaviour.skill, f"device {device}")
        rng = self._streams.rng("labelling signals", device, task.number)
        return self.items.perceived(self.questions.rows(task.questions), skill, rng)

    def _drawn_skill(self, device: int) -> float:
        settings = self.settings
        draw = self._streams.rng("labelling skill", device).normal(0, 1)
        return float(np.clip(settings.skill + settings.skill_sd * draw, 0, 1))

    # --- tasks end --------------------------------------------------------------------------------

    def _settle(self, task: Task) -> None:
        """Decide on all submissions of a task, buy its labels, and end it."""
        for submission in task.with_status(SubmissionStatus.ASSIGNED):
            self._lapse(task, submission)
        sent = [s for s in task.submissions.values() if s.answers is not None]
        kept = self.decisions.decide(task, sent) if sent else None
        self._buy(task, kept)
        refund = self.contract.complete(task)
        self.books.ended(task, refund)
        self.questions.drop(task.questions)

    # --- what is bought ---------------------------------------------------------------------------

    def _buy(self, task: Task, judged: Judgement | None) -> None:
        """Keep the labels of a task; items without one go back to whoever asks for labels."""
        n = len(task.questions)
        labels = np.full(n, UNKNOWN) if judged is None else judged.labels
        weights = np.zeros(n) if judged is None else judged.weights
        for number, label, weight in zip(
            task.questions, labels.tolist(), weights.tolist(), strict=True
        ):
            row = self.questions.row(number)
            if self.questions.is_gold(number):
                continue
            if label == UNKNOWN:
                self._returned.append(row)
            else:
                self._bought.append((row, label, weight))
                self.books.bought(number, label, weight)

    def labels(self, after: int = 0) -> BoughtLabels:
        """Return the labels that were bought, in order; without the first `after` of them."""
        bought = self._bought[after:]
        rows, labels, weights = zip(*bought, strict=True) if bought else ((), (), ())
        return BoughtLabels(
            np.array(rows, dtype=np.int64),
            np.array(labels, dtype=np.int64),
            np.array(weights, dtype=np.float64),
        )

    def take_returned(self) -> list[int]:
        """Return the rows that were asked and got no label since the last call."""
        rows, self._returned = self._returned, []
        return rows

    # --- what is recorded -------------------------------------------------------------------------

    def rows(self) -> dict[str, list[dict[str, Any]]]:
        """Return new rows by table, see `sim.labelling.tables`, each once."""
        return self.books.drain()

    def round_columns(self) -> dict[str, Any]:
        """Return the columns `tables.ROUNDS` of the present round."""
        return self.books.round_columns()

    def columns(self, device: int) -> dict[str, Any]:
        """Return the columns `tables.PARTICIPANTS` of an annotator for the present round."""
        return self.books.columns(device)

    def costs(self) -> Mapping[int, float]:
        """Return by device the effort of the present round in base units."""
        return dict(self._costs)

    def awards(self) -> list[dict[str, int]]:
        """Return for each annotator what it may still get of open tasks, and what it has got."""
        pending, allocated = Counter[int](), Counter(self.books.allocated)
        waiting = (SubmissionStatus.ASSIGNED, SubmissionStatus.PENDING)
        for task in self.contract.tasks.values():
            for submission in task.with_status(*waiting):
                pending[submission.worker] += task.reward
            for submission in task.with_status(SubmissionStatus.ACCEPTED):
                allocated[submission.worker] += submission.paid
        return [
            {"device": d, "pending": pending[d], "allocated": allocated[d]} for d in self._people
        ]

    # --- checkpoints ------------------------------------------------------------------------------

    def to_state(self) -> dict[str, Any]:
        """Return JSON values at a round boundary; the labels that were bought are in `history`."""
        return {
            "contract": self.contract.to_state(),
            "questions": self.questions.to_state(),
            "books": self.books.to_state(),
            "memory": self.decisions.memory,
            "returned": self._returned,
        }

    def history(self, after: int) -> History:
        """Return the labels that were bought after a mark, as a protocol's `history` does."""
        return History(self._bought[after:], len(self._bought))

    def restore(self, state: Mapping[str, Any], bought: Iterable[tuple[int, int, float]]) -> None:
        """Continue from `to_state` and all rows of `history`."""
        self.contract.restore(state["contract"])
        self.questions.restore(state["questions"])
        self.books.restore(state["books"])
        self.decisions.memory = dict(state["memory"])
        self._returned = list(state["returned"])
        self._bought = [(row, label, weight) for row, label, weight in bought]
