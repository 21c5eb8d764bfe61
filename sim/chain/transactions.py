"""What devices sign: updates and votes."""

from __future__ import annotations

import hashlib
import struct
from dataclasses import dataclass, field, replace
from functools import cached_property

from sim.chain.signing import Keyring

SIGNATURE_BYTES = 64


@dataclass(frozen=True)
class UpdateTransaction:
    """A worker's claim about its update.

    `digest` is the SHA-256 of the update's real bytes (float32, little-endian).
    """

    round: int
    worker: int
    digest: bytes
    size_bytes: int
    samples: int
    epochs: int
    signature: bytes = field(default=b"", repr=False)

    @cached_property
    def message(self) -> bytes:
        """The bytes that are signed."""
        return (
            b"update"
            + struct.pack(
                "<qqqqq", self.round, self.worker, self.size_bytes, self.samples, self.epochs
            )
            + self.digest
        )

    @property
    def header_bytes(self) -> int:
        """Bytes on the wire without the update itself."""
        return len(self.message) + SIGNATURE_BYTES

    @cached_property
    def id(self) -> bytes:
        """SHA-256 of message and signature."""
        return hashlib.sha256(self.message + self.signature).digest()

    def signed(self, keys: Keyring) -> UpdateTransaction:
        return UpdateTransaction(
            self.round,
            self.worker,
            self.digest,
            self.size_bytes,
            self.samples,
            self.epochs,
            keys.sign(self.worker, self.message),
        )

    def authentic(self, keys: Keyring) -> bool:
        """Return whether the worker signed exactly this."""
        return keys.verify(self.worker, self.message, self.signature)


@dataclass(frozen=True)
class VoteTransaction:
    """A validator's vote on one update, bound to it by the update transaction's id.

    `score` is the validator's report on the update, if the rule asks for one.
    """

    round: int
    validator: int
    worker: int
    update_id: bytes
    accept: bool
    score: float | None = None
    signature: bytes = field(default=b"", repr=False)

    @cached_property
    def message(self) -> bytes:
        score = b"" if self.score is None else struct.pack("<d", self.score)
        return (
            b"vote"
            + struct.pack("<qqq?", self.round, self.validator, self.worker, self.accept)
            + score
            + self.update_id
        )

    @cached_property
    def id(self) -> bytes:
        return hashlib.sha256(self.message + self.signature).digest()

    def signed(self, keys: Keyring) -> VoteTransaction:
        signature = keys.sign(self.validator, self.message)
        return replace(self, signature=signature)

    def authentic(self, keys: Keyring) -> bool:
        return keys.verify(self.validator, self.message, self.signature)

    @cached_property
    def size_bytes(self) -> int:
        """Bytes on the wire."""
        return len(self.message) + SIGNATURE_BYTES
