"""What a data market records."""

from __future__ import annotations

from collections.abc import Mapping

from sim.protocol import Outcome
from sim.recording import INTEGER, INTEGERS, NUMBER, TEXT, TRUTH, Column, Table

ROUND = Column(INTEGER, "which slice of time")
WHEN = Column(NUMBER, "when")
DEVICE = Column(INTEGER, "number of the contributor")

ROUNDS = {
    "offered": Column(INTEGER, "data that were offered"),
    "accepted": Column(INTEGER, "data that the rule accepted"),
    "refunds": Column(INTEGER, "deposits that went back to their author"),
    "reports": Column(INTEGER, "claims on the deposit of somebody else"),
    "sweeps": Column(INTEGER, "claims after which anybody may take what is left"),
    "collected": Column(INTEGER, "balances that were collected, of rules that keep any"),
    "queries": Column(INTEGER, "predictions that were asked for"),
    "deposited": Column(INTEGER, "base units that authors paid"),
    "open": Column(INTEGER, "data that can still be claimed, at the end"),
    "left": Column(INTEGER, "samples that were not offered yet, at the end"),
    "accuracy": Column(NUMBER, "of the model on the hidden test set, as last published"),
}
PARTICIPANTS = {
    "percent": Column(NUMBER, "`balance` in per cent of what it held at the start"),
    "offered": Column(INTEGER, "data that it offered"),
    "accepted": Column(INTEGER, "its data that the rule accepted"),
    "standing": Column(INTEGER, "what the rule counts of it: data found good, points"),
}
SUBMISSIONS = Table(
    "datum that was offered",
    {
        "round": ROUND,
        "time_s": WHEN,
        "device": DEVICE,
        "sample": Column(INTEGER, "row of the training samples"),
        "label": Column(INTEGER, "label that it was given"),
        "right": Column(TRUTH, "whether that is the true one; no rule knows"),
        "offer": Column(INTEGER, "base units at most"),
        "datum": Column(INTEGER, "its number among the accepted ones; null: refused"),
        "cost": Column(INTEGER, "base units that it was charged; null: refused"),
    },
)
CLAIMS = Table(
    "claim that was accepted",
    {
        "round": ROUND,
        "time_s": WHEN,
        "device": Column(INTEGER, "who claimed"),
        "kind": Column(
            TEXT,
            "`refund`: its own; `report`: of another; `sweep`: what was left, by anybody; "
            "`collect`: the balance of a contributor",
        ),
        "datum": Column(INTEGER, "number of the datum; null: a balance"),
        "author": Column(INTEGER, "whose datum or balance it is"),
        "right": Column(TRUTH, "whether its label is the true one; null: a balance"),
        "agrees": Column(TRUTH, "whether the model predicted its label; null: a balance"),
        "amount": Column(INTEGER, "base units"),
    },
)
ACCURACIES = Table(
    "measurement of the model",
    {
        "round": ROUND,
        "time_s": WHEN,
        "accuracy": Column(NUMBER, "share of the hidden test set that it predicts right"),
        "learned": Column(INTEGER, "data that were accepted so far"),
        "moment": Column(
            TEXT, "`start`, `published`, `ran out` (no data left, or closed), `end`; see `balances`"
        ),
    },
)
BALANCES = Table(
    "contributor and moment",
    {
        "moment": Column(TEXT, "`start`, `ran out` (no data left, or closed), `end`"),
        "time_s": WHEN,
        "device": DEVICE,
        "group": Column(TEXT, "`honest`, or the name of its group"),
        "adversary": Column(TRUTH, "whether it counts as an adversary"),
        "balance": Column(INTEGER, "base units"),
        "percent": Column(NUMBER, "in per cent of what it held at the start"),
    },
)
QUERIES = Table(
    "prediction that was asked for",
    {
        "round": ROUND,
        "time_s": WHEN,
        "device": DEVICE,
        "offer": Column(INTEGER, "base units at most"),
        "paid": Column(INTEGER, "base units"),
    },
)
TRACE = Table(
    "act, in order",
    {
        "time_s": WHEN,
        "device": DEVICE,
        "action": Column(TEXT, "`add`, `predict`, `wait`: nothing but claims"),
        "sample": Column(INTEGER, "row of the training samples; null: no datum"),
        "label": Column(INTEGER, "label that it was given; null: no datum"),
        "offer": Column(NUMBER, "tokens at most"),
        "accepted": Column(TRUTH, "whether the rule accepted the datum; null: no datum"),
        "cost": Column(NUMBER, "tokens that it was charged"),
        "accuracy": Column(NUMBER, "of the model as last published"),
        "claims": Column(
            TEXT,
            "claims that followed, with spaces: kind:datum:tokens, or collect:owner:tokens",
        ),
    },
    "record.trace",
)
WEIGHTS = Table(
    "feature of the model as it is before the market opens",
    {
        "feature": Column(INTEGER, "its number"),
        "weight": Column(INTEGER, "its weight, billionths"),
    },
    "record.features",
)
FEATURES = Table(
    "offer, in order",
    {
        "sample": Column(INTEGER, "row of the training samples"),
        "features": Column(INTEGERS, "features that are not 0, in order"),
        "values": Column(INTEGERS, "their values, billionths; null: all are 1"),
    },
    "record.features",
)
OWN: Mapping[str, Table] = {
    "submissions": SUBMISSIONS,
    "claims": CLAIMS,
    "accuracies": ACCURACIES,
    "balances": BALANCES,
    "queries": QUERIES,
    "trace": TRACE,
    "weights": WEIGHTS,
    "features": FEATURES,
}


def _percent(moment: str, who: str) -> str:
    return f"avg(percent) filter (where moment = '{moment}' and {who})"


OUTCOMES = {
    "accuracy": Outcome(
        "accuracies",
        "max(accuracy) filter (where moment = 'end')",
        "share of the hidden test set that the last model predicts right",
        "max",
    ),
    "honest_return": Outcome(
        "balances",
        _percent("end", "not adversary"),
        "balance of an honest contributor at the end, per cent of the start",
        "max",
        headline=True,
    ),
    "adversary_return": Outcome(
        "balances",
        _percent("end", "adversary"),
        "balance of an adversary at the end, per cent of the start",
        "min",
        headline=True,
    ),
    "honest_return_ran_out": Outcome(
        "balances",
        _percent("ran out", "not adversary"),
        "the same of an honest contributor when the data ran out; null: they did not",
        "max",
    ),
    "adversary_return_ran_out": Outcome(
        "balances",
        _percent("ran out", "adversary"),
        "the same of an adversary when the data ran out; null: they did not",
        "min",
    ),
    "good_data": Outcome(
        "submissions",
        'count(*) filter (where datum is not null and "right")',
        "accepted data with the true label",
        "max",
    ),
    "bad_data": Outcome(
        "submissions",
        'count(*) filter (where datum is not null and not "right")',
        "accepted data with a wrong label",
        "min",
    ),
    "priced_out": Outcome(
        "participants",
        "1 - sum(accepted) filter (where not adversary)::double"
        " / nullif(sum(offered) filter (where not adversary), 0)",
        "share of the data offered by honest contributors that the rule refused, because the "
        "price was higher than the offer or for another reason; null: they offered none",
        "min",
    ),
    "good_deposit": Outcome(
        "submissions",
        'avg(cost) filter (where "right")',
        "deposit of an accepted datum with the true label, base units",
        "min",
    ),
    "bad_refunded": Outcome(
        "claims",
        "count(*) filter (where kind = 'refund' and not \"right\")",
        "refunds of data with a wrong label: the model had learned it by then",
        "min",
    ),
    "days_to_ruin": Outcome(
        "participants",
        "min(round) filter (where adversary and percent < 1)",
        "first slice of time at whose end an adversary has less than 1 per cent; null: none had",
        "min",
    ),
}
