"""The columns and tables that protocols share that train models."""

from __future__ import annotations

import pyarrow as pa

from sim.recording import BYTES, INTEGER, INTEGERS, NUMBER, TEXT, TRUTH, Column, Table

ROUNDS = {
    "accuracy": Column(NUMBER, "of the canonical model on the test set"),
    "loss": Column(NUMBER, "of the same: mean cross-entropy"),
    "attack_success": Column(
        NUMBER,
        "share of the samples that a targeted attack aims at that the same model classifies as it "
        "wants",
    ),
    "accuracy_mean": Column(NUMBER, "mean over the models that devices hold"),
    "accuracy_max": Column(NUMBER, "best of them"),
    "accuracy_min": Column(NUMBER, "worst of them"),
    "online": Column(INTEGER, "devices that were there at the start"),
    "workers": Column(INTEGER, "devices that were workers"),
    "updates": Column(INTEGER, "updates trained and sent"),
    "accepted_honest": Column(INTEGER, "updates that count, of honest devices"),
    "accepted_adversary": Column(INTEGER, "updates that count, of adversaries"),
    "rejected_honest": Column(INTEGER, "updates of honest devices that were judged and rejected"),
    "rejected_adversary": Column(INTEGER, "updates of adversaries that were judged and rejected"),
    "malformed": Column(
        INTEGER,
        "updates that could never be aggregated: NaN, infinity, or claims that nobody believes",
    ),
    "heads": Column(INTEGER, "different chains that devices hold after the round"),
}
"""Own columns of `rounds` of every protocol that trains."""

PARTICIPANTS = {
    "samples": Column(INTEGER, "training samples that it holds"),
    "epochs": Column(INTEGER, "epochs that it claims; null: no update of it was judged"),
    "accepted": Column(
        TRUTH,
        "whether its update was accepted, as judged: a part such as `consent` may still refuse to "
        "pay it",
    ),
    "malformed": Column(
        TRUTH, "whether its update could never be aggregated; null: it trained none"
    ),
    "local_accuracy": Column(NUMBER, "test accuracy of its update, with `record.local_accuracy`"),
    "accuracy": Column(NUMBER, "test accuracy of the global model that it holds after the round"),
    "compute_s": Column(NUMBER, "simulated seconds of training and evaluating"),
    "penalty": Column(
        INTEGER, "what it lost of its deposits in the round: slashes, forfeits, bonds"
    ),
    "height": Column(INTEGER, "number of blocks of its chain"),
    "head": Column(TEXT, "hash of the last of them"),
    "epsilon": Column(
        NUMBER,
        "what its updates so far have spent at `privacy.delta`; null without `privacy.noise`",
    ),
}
"""Own columns of `participants` of every protocol that trains."""

VOTED_ROUNDS = {
    "block_time_s": Column(
        NUMBER,
        "from the round's start to the generation of the winning block, or the final aggregate",
    ),
    "validators": Column(INTEGER, "devices that were validators"),
    "miners": Column(INTEGER, "devices that were miners or aggregators"),
    "votes_positive": Column(INTEGER, "votes that counted, for an update"),
    "votes_negative": Column(INTEGER, "votes that counted, against one"),
    "winner": Column(
        INTEGER, "miner of the block that most devices appended, or the round's aggregator"
    ),
    "winner_stake": Column(INTEGER, "its stake"),
}
"""Own columns of `rounds` where validators vote."""

VOTED_PARTICIPANTS = {
    "votes_positive": Column(INTEGER, "votes for its update"),
    "votes_negative": Column(INTEGER, "votes against it"),
}
"""Own columns of `participants` where validators vote."""

VOTES = Table(
    "validator and update",
    {
        "round": Column(INTEGER, "which round"),
        "validator": Column(INTEGER, "who judged"),
        "worker": Column(INTEGER, "whose update"),
        "validator_adversary": Column(TRUTH, "whether the validator is an adversary"),
        "worker_adversary": Column(TRUTH, "whether the worker is an adversary"),
        "verdict": Column(TRUTH, "what the rule said"),
        "vote": Column(TRUTH, "what was cast"),
        "time_s": Column(NUMBER, "when it was cast"),
        "status": Column(TEXT, "`counted`, or why it did not count"),
    },
)

VERSIONS = Table(
    "version of the global model",
    {
        "round": Column(INTEGER, "when"),
        "height": Column(INTEGER, "in which block; 0: before any block"),
        "version": Column(TEXT, "SHA-256 of this version"),
        "parent": Column(TEXT, "SHA-256 of the version before"),
        "weights": Column(TEXT, "SHA-256 of the model"),
        "block": Column(TEXT, "hash of the block that made it"),
        "author": Column(INTEGER, "the block's miner; null: none"),
        "status": Column(TEXT, "`released`, or `rollback` with the version whose model comes back"),
        "restores": Column(TEXT, "that version"),
        "held_out_accuracy": Column(
            NUMBER, "on the samples held out for validators; null where there are none"
        ),
    },
    only="`versions.record` or `versions.rollback_drop`: the versions of the canonical chain at "
    "the end",
)

EPOCHS = Table(
    "worker and local epoch",
    {
        "round": Column(INTEGER, "which round"),
        "device": Column(INTEGER, "the worker"),
        "epoch": Column(INTEGER, "1, 2, ..."),
        "accuracy": Column(NUMBER, "of its model on the test set"),
    },
    only="`record.epoch_accuracy`",
)

TAPE = Table(
    "settled block",
    {
        "round": Column(INTEGER, "which round"),
        "head": Column(TEXT, "hash of the block"),
        "parent": Column(
            INTEGER, "number of the chain state that it was put on; with `head`, the block's key"
        ),
        "miner": Column(INTEGER, "who made it; null: a server aggregated"),
        "worker": Column(INTEGERS, "one entry per update: who sent it"),
        "claimed_samples": Column(INTEGERS, "one entry per update: samples that it claims"),
        "claimed_epochs": Column(INTEGERS, "one entry per update: epochs that it claims"),
        "accepted": Column(pa.list_(TRUTH), "one entry per update: whether it was accepted"),
        "positive": Column(pa.list_(INTEGERS), "one entry per update: who voted for it"),
        "negative": Column(pa.list_(INTEGERS), "one entry per update: who voted against it"),
        "verified_samples": Column(INTEGERS, "one entry per update: samples really trained on"),
        "verified_epochs": Column(INTEGERS, "one entry per update: epochs really trained"),
        "reports": Column(
            pa.list_(pa.list_(pa.list_(NUMBER))),
            "one list of [validator, score] per update: cosines as reported",
        ),
        "stakes": Column(INTEGERS, "of each device at the round's start"),
        "updates": Column(BYTES, "little-endian float32, update after update"),
        "start": Column(BYTES, "global model before the block, float32"),
        "result": Column(BYTES, "global model after the block, float32"),
        "conducted": Column(TRUTH, "whether a contract knew more, as follows"),
        "aggregator": Column(INTEGER, "who aggregated"),
        "unrevealed": Column(INTEGERS, "who committed and did not show the same"),
        "malformed": Column(INTEGERS, "whose update could never be aggregated"),
        "fault": Column(TEXT, "of the aggregator: `wrong`, `absent` or empty"),
        "challenger": Column(INTEGER, "who proved it"),
        "false_challengers": Column(INTEGERS, "who disputed a right aggregate"),
        "previous": Column(INTEGER, "row of the block before it; null: the first of its chain"),
        "canonical": Column(TRUTH, "whether it is on the canonical chain at the end"),
        "holders": Column(INTEGERS, "devices whose own chain holds it at the end"),
    },
    only="`record.tape`: what every payout rule could have observed. Updates are not compressed: "
    "4 bytes x parameters x (updates + 2) per block. A block that no chain holds at the end "
    "counts in no comparison",
)

OPENING = Table(
    "run",
    {
        "balances": Column(INTEGERS, "of the devices before the payout rule opened"),
        "shape": Column(INTEGERS, "of a sample"),
        "classes": Column(INTEGER, "how many there are"),
        "x": Column(BYTES, "samples on which utility is measured, float32, one after the other"),
        "y": Column(INTEGERS, "their labels"),
    },
    only="`record.tape`: with it a tape needs no data folder",
)

OUTAGES = Table(
    "device of a scripted outage",
    {
        "outage": Column(INTEGER, "its place in `availability.outages`, from 0"),
        "device": Column(INTEGER, "whom it hits"),
        "from_s": Column(NUMBER, "when it begins"),
        "until_s": Column(NUMBER, "when it ends; infinite: never"),
    },
    only="`availability.outages`",
)

REDUCED = Table(
    "parameter that was cut down in a round",
    {
        "round": Column(INTEGER, "which round"),
        "rule": Column(TEXT, "whose parameter"),
        "parameter": Column(TEXT, "its name"),
        "asked": Column(INTEGER, "what the scenario asks for"),
        "used": Column(INTEGER, "what was used; where several differ in a round, the smallest"),
        "inputs": Column(
            INTEGER, "how many updates, samples or devices there were, too few for more"
        ),
    },
)

SHARED = {
    "reduced": REDUCED,
    "versions": VERSIONS,
    "epochs": EPOCHS,
    "tape": TAPE,
    "opening": OPENING,
    "outages": OUTAGES,
}
"""Tables of every protocol that trains, most of them only where the scenario asks for it."""
