"""What each protocol tells a chain beside its money."""

from __future__ import annotations

from sim.notes import Approval, Note, Told, Versions

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
BLOCK = Note(
    "block",
    "blocks",
    {"hash": "hash", "miner": "miner"},
    per="first",
    equal={"status": "adopted"},
    order=("-adopters", "hash"),
    device="miner",
)
COMMITMENT, REVEAL = (
    Note(
        reason,
        "participants",
        {"device": "device", "value": column},
        per="row",
        present=(column,),
        order=("device",),
        device="device",
    )
    for reason, column in (("commitment", "commitment"), ("reveal", "opening"))
)
VERSIONS = Versions("versions", ("weights", "parent"), "author", "status")
ACCEPTED = Note(
    "accepted", "participants", {"device": "device"}, equal={"accepted": True}, order=("device",)
)
RESULT = Approval("result", "votes", "validator", {"accepted": ACCEPTED, "votes": VOTES})

TOLD: dict[str, tuple[Told, ...]] = {
    "vbfl": (ROLES, VOTES, BLOCK, VERSIONS),
    "fedavg": (ROLES, VERSIONS),
    "coordinator": (ROLES, COMMITMENT, REVEAL, VOTES, VERSIONS, RESULT),
}
