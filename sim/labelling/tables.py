"""What labelling records: the tables that a protocol declares for it, and their columns."""

from __future__ import annotations

from collections.abc import Mapping

from sim.notes import Note
from sim.recording import INTEGER, INTEGERS, NUMBER, TEXT, TRUTH, Column, Table

ROUND = Column(INTEGER, "in which round")

ROUNDS: Mapping[str, Column] = {
    "tasks_opened": Column(INTEGER, "labelling tasks that were opened"),
    "tasks_ended": Column(INTEGER, "labelling tasks that ended"),
    "labels_answered": Column(INTEGER, "submissions that were sent"),
    "labels_accepted": Column(INTEGER, "submissions that were accepted, of tasks that ended"),
    "labels_rejected": Column(INTEGER, "submissions that were sent and refused, of these"),
    "labels_lapsed": Column(INTEGER, "places whose annotators sent nothing, of these"),
    "labels_bought": Column(INTEGER, "labels that were bought"),
    "labels_right": Column(INTEGER, "of these, the true ones; no rule knows"),
    "labels_paid": Column(INTEGER, "base units that annotators were paid, for tasks that ended"),
    "labels_refunded": Column(INTEGER, "base units of these tasks that went back to the payer"),
    "inspection_cost": Column(NUMBER, "effort of the creator in base units; paid to nobody"),
}
PARTICIPANTS: Mapping[str, Column] = {
    "places_taken": Column(INTEGER, "places of labelling tasks that it took"),
    "questions_answered": Column(INTEGER, "questions that it answered"),
    "answers_right": Column(INTEGER, "of these answers, the right ones; no rule knows"),
}
QUESTIONS = Table(
    "question that was asked: the questionnaire",
    {
        "round": ROUND,
        "task": Column(INTEGER, "the task, a batch of questions, that it is part of"),
        "question": Column(INTEGER, "its number"),
        "item": Column(INTEGER, "row of the training samples"),
        "image": Column(TEXT, "reference of the item where it is an image; else null"),
        "text": Column(TEXT, "reference of the item where it is a text; else null"),
        "sound": Column(TEXT, "reference of the item where it is a sound; else null"),
        "asks": Column(TEXT, "text of the question"),
        "answer_type": Column(TEXT, "`choice`: one of the labels 0..`options`-1"),
        "options": Column(INTEGER, "how many labels there are"),
        "points": Column(INTEGER, "answer points"),
        "gold": Column(TRUTH, "whether the creator knows the label"),
        "label": Column(INTEGER, "the true one: the simulator alone knows it"),
        "difficulty": Column(
            NUMBER, "0 is the easiest, 1 cannot be told from guessing: the simulator alone knows it"
        ),
    },
)
TASKS = Table(
    "labelling task that ended",
    {
        "round": Column(INTEGER, "in which it ended"),
        "task": Column(INTEGER, "its number"),
        "opened": Column(INTEGER, "round in which it was opened"),
        "last": Column(INTEGER, "last round in which it was open"),
        "status": Column(TEXT, "`completed`; `withdrawn`: without a single answer"),
        "questions": Column(INTEGER, "how many questions it asked"),
        "places": Column(INTEGER, "how many submissions it could take"),
        "escrow": Column(INTEGER, "base units that it could pay"),
        "paid": Column(INTEGER, "base units that it paid to annotators"),
        "refunded": Column(INTEGER, "base units that went back to the payer"),
    },
)
ANNOTATIONS = Table(
    "submission, or place that lapsed, of a labelling task that ended",
    {
        "round": Column(INTEGER, "in which the task ended"),
        "task": Column(INTEGER, "the task"),
        "submission": Column(INTEGER, "its number"),
        "device": Column(INTEGER, "the annotator"),
        "assigned": Column(INTEGER, "round in which it took the place"),
        "status": Column(TEXT, "`accepted`, `rejected`"),
        "digest": Column(TEXT, "SHA-256 of its answers, joined by commas; null: nothing was sent"),
        "right": Column(INTEGER, "right answers; no rule knows; null: nothing was sent"),
        "paid": Column(INTEGER, "base units"),
    },
)
LABELS = Table(
    "label that was bought",
    {
        "round": ROUND,
        "question": Column(INTEGER, "the question"),
        "item": Column(INTEGER, "row of the training samples"),
        "label": Column(INTEGER, "what the answers came to"),
        "weight": Column(NUMBER, "how sure the rule is, 0..1"),
        "right": Column(TRUTH, "whether it is the true one; no rule knows"),
        "difficulty": Column(NUMBER, "of the item"),
    },
)
ANSWERS = Table(
    "submission that was sent, of a labelling task that ended, in the order in which these did",
    {
        "round": Column(INTEGER, "in which the task ended"),
        "task": Column(INTEGER, "the task"),
        "submission": Column(INTEGER, "its number"),
        "device": Column(INTEGER, "the annotator"),
        "answers": Column(INTEGERS, "its answers, in the order of the task's `questions`"),
    },
    "record.answers",
)
OWN: Mapping[str, Table] = {
    "questions": QUESTIONS,
    "label_tasks": TASKS,
    "annotations": ANNOTATIONS,
    "labels": LABELS,
}
"""By name of the table: what `LabellingDesk.rows` has rows of."""
TAPE: Mapping[str, Table] = {"answers": ANSWERS}
"""The same, of a table that a protocol may leave out: it records what it declares."""
NOTES = (
    Note(
        "questionnaire",
        "questions",
        {"task": "task", "question": "question", "item": "item", "points": "points"},
    ),
    Note(
        "answers",
        "annotations",
        {"task": "task", "submission": "submission", "device": "device", "digest": "digest"},
        present=("digest",),
    ),
)
"""What is put on record of labelling: the questions, and a commitment to the answers."""
