"""Notes: what a chain records of a run beside its money.

A protocol declares them, and they stand in the manifest of every run.

The chain bridge reads these declarations from the manifest and the rows that they name from the
recorded tables. It knows nothing else of a protocol.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

Value = str | int | bool


@dataclass(frozen=True)
class Note:
    """A remark on the chain, for each round or each row of a recorded table.

    Args:
        reason: what the note is called on the chain and in the tables of a replay.
        table: the recorded table; it has a column `round`.
        columns: by name in the note the recorded column, in this order.
        per: "round": one note with the SHA-256 of all qualifying rows, one line a row, values
            joined by commas, truth values as 1 and 0; a round that has rows, none of which qualify,
            has the digest of nothing. "row": one note for each qualifying row with the values
            themselves. "first": the same, for the first qualifying row of a round alone.
        present: columns that must have a value for a row to qualify.
        equal: columns that must have this value.
        order: columns that the rows of a round are sorted by; "-" in front: descending.
        device: column with the device that the fee of the note is booked to; "": to nobody.
    """

    reason: str
    table: str
    columns: Mapping[str, str]
    per: Literal["round", "row", "first"] = "round"
    present: tuple[str, ...] = ()
    equal: Mapping[str, Value] = field(default_factory=dict)
    order: tuple[str, ...] = ()
    device: str = ""

    def to_plain(self) -> dict[str, Any]:
        """Return the declaration as the manifest holds it."""
        return {"type": "note", **asdict(self)}


@dataclass(frozen=True)
class Approval:
    """A result that more than half of a committee approves on the chain, once a round.

    Args:
        reason: what the result is called on the chain.
        table: the recorded table whose rows name the members of the round.
        members: its column with the device of a member. Rounds with fewer than two members have no
            approval.
        digests: by name in the result the rows whose digest it holds: notes of `per="round"`.
    """

    reason: str
    table: str
    members: str
    digests: Mapping[str, Note]

    def to_plain(self) -> dict[str, Any]:
        """Return the declaration as the manifest holds it."""
        return {
            "type": "approval",
            "reason": self.reason,
            "table": self.table,
            "members": self.members,
            "digests": {name: note.to_plain() for name, note in self.digests.items()},
        }


@dataclass(frozen=True)
class Versions:
    """A collection of model versions on the chain.

    One item a row, whose metadata are two hexadecimal digests.

    Args:
        table: the recorded table; a run that was recorded without it has no collection.
        data: the columns with the digests.
        author: column with the device that released the version.
        status: column with what kind of version it is.
    """

    table: str
    data: tuple[str, ...]
    author: str
    status: str

    def to_plain(self) -> dict[str, Any]:
        """Return the declaration as the manifest holds it."""
        return {"type": "versions", **asdict(self)}


@dataclass(frozen=True)
class Licences:
    """Licences on the chain: one item a row, with attributes, that belongs to its buyer.

    What was paid for it is in the journal.

    Args:
        table: the recorded table; a run that was recorded without it has none.
        buyer: column with the device that buys.
        attributes: by name of an attribute the column with its value, at most 64 bytes as text.
        equal: columns that must have this value for a row to be a licence.
    """

    table: str
    buyer: str
    attributes: Mapping[str, str]
    equal: Mapping[str, Value] = field(default_factory=dict)

    def to_plain(self) -> dict[str, Any]:
        """Return the declaration as the manifest holds it."""
        return {"type": "licences", **asdict(self)}


Declaration = Note | Approval | Versions | Licences
"""All that a protocol can declare for a chain."""
