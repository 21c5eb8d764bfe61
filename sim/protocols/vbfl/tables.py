"""The columns and tables that only VBFL has."""

from __future__ import annotations

from sim.recording import INTEGER, NUMBER, TEXT, TRUTH, Column, Table
from sim.training import tables

ROUNDS = {
    "blocks": Column(INTEGER, "blocks published"),
    "forked": Column(TRUTH, "whether devices appended different blocks"),
    "blocked": Column(INTEGER, "devices shut out on the canonical chain"),
}

PARTICIPANTS = {
    "miner": Column(INTEGER, "miner that it is associated with"),
    "validator": Column(INTEGER, "validator that it is associated with"),
    "blocked": Column(TRUTH, "whether it is shut out on its own chain"),
    "resynced": Column(TRUTH, "whether it changed chains at the round's start"),
    "storage_cost": Column(
        NUMBER,
        "what storing its update off the chain cost it (`storage.cost_per_mb`); 0 on the chain",
    ),
}

VOTES = tables.VOTES.with_columns(
    {
        "baseline_accuracy": Column(
            NUMBER,
            "of the validator's own model on its own samples; null where nobody looks "
            "(`accept-all`)",
        ),
        "update_accuracy": Column(NUMBER, "of the update on the same samples"),
        "vad": Column(NUMBER, "`baseline_accuracy - update_accuracy`"),
        "status": Column(
            TEXT,
            "`counted` in the winning block, `unused`, `late` for the validator, `lost` on the "
            "way, `forged`, `replayed` (a transaction of another round), `malformed` (the update "
            "is not finite), `blocked` (the worker is shut out), `censored` (a miner left it "
            "out), `unavailable` (the validator did not find the update in the store: no "
            "verdict, no vote)",
        ),
    }
)

BLOCKS = Table(
    "candidate block",
    {
        "round": Column(INTEGER, "which round"),
        "height": Column(INTEGER, "place in its chain"),
        "hash": Column(TEXT, "SHA-256 of its header"),
        "previous": Column(TEXT, "hash of the block before"),
        "miner": Column(INTEGER, "who made it"),
        "miner_adversary": Column(TRUTH, "whether that is an adversary"),
        "stake": Column(INTEGER, "stake of the miner when it made the block"),
        "generated_s": Column(NUMBER, "when"),
        "size_bytes": Column(INTEGER, "bytes on the wire"),
        "updates": Column(INTEGER, "updates in it"),
        "votes": Column(INTEGER, "votes in it"),
        "adopters": Column(INTEGER, "devices that appended it"),
        "status": Column(TEXT, "`adopted`, `orphaned` or `withheld`"),
    },
)
