"""Outcomes, notes and the tape that protocols share that train models."""

from __future__ import annotations

from sim.notes import Approval, Note, Versions
from sim.protocol import Outcome, Tape

OUTCOMES = {
    "accuracy": Outcome(
        "rounds", "arg_max(accuracy, round)", "test accuracy after the last round", "max"
    ),
    "best_accuracy": Outcome("rounds", "max(accuracy)", "of the best round", "max"),
    "mean_accuracy": Outcome("rounds", "avg(accuracy)", "over the rounds", "max"),
    "accepted_honest": Outcome(
        "rounds", "sum(accepted_honest)::bigint", "honest updates accepted", "max"
    ),
    "rejected_honest": Outcome(
        "rounds", "sum(rejected_honest)::bigint", "honest updates rejected", "min"
    ),
    "accepted_adversary": Outcome(
        "rounds", "sum(accepted_adversary)::bigint", "updates of adversaries accepted", "min"
    ),
    "rejected_adversary": Outcome(
        "rounds", "sum(rejected_adversary)::bigint", "updates of adversaries rejected", "max"
    ),
    "reduced_rounds": Outcome(
        "reduced",
        "count(distinct round)",
        "rounds in which a rule ran with less than was asked for, see table `reduced`",
        "min",
    ),
    "malformed_updates": Outcome(
        "rounds",
        "sum(malformed)::bigint",
        "updates that could never be aggregated: NaN, infinity, or claims that nobody believes",
    ),
    "attack_success": Outcome(
        "rounds",
        "arg_max(attack_success, round)",
        "share of the samples aimed at that the last model classifies as the attack wants",
        "min",
    ),
}
"""Of every protocol that trains."""

BLOCK_TIME = Outcome(
    "rounds", "avg(block_time_s)", "mean seconds to the winning block or final aggregate", "min"
)

ROLES = Note(
    "roles",
    "participants",
    {"device": "device", "role": "role"},
    present=("role",),
    order=("device",),
)
VOTES = Note(
    "votes",
    "votes",
    {"validator": "validator", "worker": "worker", "vote": "vote"},
    equal={"status": "counted"},
    order=("validator", "worker"),
)
RESULT = Approval(
    "result",
    "votes",
    "validator",
    {
        "accepted": Note(
            "accepted",
            "participants",
            {"device": "device"},
            equal={"accepted": True},
            order=("device",),
        ),
        "votes": VOTES,
    },
)
VERSIONS = Versions("versions", ("weights", "parent"), "author", "status")

TAPE = Tape(("tape", "opening"), "mechanisms", "experiments.offpolicy:compare_payouts")
