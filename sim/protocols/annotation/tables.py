"""What the protocol `annotation` records, and what its runs come to."""

from __future__ import annotations

from sim.labelling import tables as labelling
from sim.protocol import Outcome
from sim.recording import INTEGER, NUMBER, Column

ROUNDS = {
    **labelling.ROUNDS,
    "learned": Column(INTEGER, "labels that the model has learned so far"),
    "accuracy": Column(NUMBER, "share of the hidden test set that the model predicts right"),
    "gain": Column(NUMBER, "`accuracy` less that before the first round"),
    "budget": Column(INTEGER, "base units that the creator still has, without open escrows"),
    "left": Column(INTEGER, "items that are not asked about yet, or again"),
}
PARTICIPANTS = labelling.PARTICIPANTS
OWN = {**labelling.OWN, **labelling.TAPE}

OUTCOMES = {
    "accuracy": Outcome(
        "rounds",
        "arg_max(accuracy, round)",
        "share of the hidden test set that the last model predicts right",
        "max",
    ),
    "gain_per_unit": Outcome(
        "rounds",
        "arg_max(gain, round) * 100000.0 / nullif(sum(labels_paid), 0)",
        "accuracy gained, in percentage points, per 1,000 base units paid to annotators",
        "max",
        headline=True,
    ),
    "label_accuracy": Outcome(
        "labels",
        'avg(case when "right" then 1.0 else 0.0 end)',
        "share of the labels bought that are the true ones",
        "max",
        headline=True,
    ),
    "right_per_unit": Outcome(
        "rounds",
        "sum(labels_right) * 1000.0 / nullif(sum(labels_paid), 0)",
        "right labels per 1,000 base units paid to annotators",
        "max",
    ),
    "paid": Outcome("rounds", "sum(labels_paid)::bigint", "base units paid to annotators", "min"),
    "labels_bought": Outcome("rounds", "sum(labels_bought)::bigint", "labels bought", "max"),
    "refused_right": Outcome(
        "annotations",
        'avg(case when paid = 0 then 1.0 else 0.0 end) filter (where "right" > 0)',
        "share of the submissions with a right answer that were paid nothing",
        "min",
    ),
    "lapsed": Outcome(
        "annotations",
        "avg(case when digest is null then 1.0 else 0.0 end)",
        "share of the places that were taken and never answered",
        "min",
    ),
}
