"""Hash-linked, signed blocks."""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property

from mechanisms.vocabulary import UpdateRecord
from sim.chain.signing import Keyring
from sim.chain.transactions import UpdateTransaction, VoteTransaction

GENESIS = b"\0" * 32
HEADER_BYTES = 32 + 32 + 5 * 8 + 64


@dataclass(frozen=True)
class BlockBody:
    """The transactions of a block; shared by all candidate blocks that hold the same ones."""

    updates: tuple[UpdateTransaction, ...]
    votes: tuple[VoteTransaction, ...]

    @property
    def transactions(self) -> tuple[UpdateTransaction | VoteTransaction, ...]:
        """Updates, then votes."""
        return (*self.updates, *self.votes)

    @cached_property
    def root(self) -> bytes:
        """SHA-256 over the ids of all transactions in order.

        Each id covers the digest of an update's real bytes.
        """
        return hashlib.sha256(b"".join(t.id for t in self.transactions)).digest()

    @cached_property
    def records(self) -> tuple[UpdateRecord, ...]:
        """One record per update, sorted by worker, with who voted which way."""
        positive: dict[int, list[int]] = {u.worker: [] for u in self.updates}
        negative: dict[int, list[int]] = {u.worker: [] for u in self.updates}
        reports: dict[int, list[tuple[int, float]]] = {u.worker: [] for u in self.updates}
        for v in self.votes:
            if v.score is not None:
                reports[v.worker].append((v.validator, v.score))
            if v.accept:
                positive[v.worker].append(v.validator)
            else:
                negative[v.worker].append(v.validator)
        records = []
        for u in sorted(self.updates, key=lambda u: u.worker):
            record = UpdateRecord.from_votes(
                worker=u.worker,
                claimed_samples=u.samples,
                claimed_epochs=u.epochs,
                positive=tuple(sorted(positive[u.worker])),
                negative=tuple(sorted(negative[u.worker])),
                reports=tuple(sorted(reports[u.worker])),
            )
            records.append(record)
        return tuple(records)

    @cached_property
    def size_bytes(self) -> int:
        """Real bytes: VBFL's blocks carry the updates themselves."""
        updates = sum(u.size_bytes + u.header_bytes for u in self.updates)
        return updates + sum(v.size_bytes for v in self.votes)

    def authentic(self, keys: Keyring) -> bool:
        """Return whether signatures hold, votes are on its updates, and nobody repeats."""
        ids = {u.worker: u.id for u in self.updates}
        if len(ids) < len(self.updates):
            return False
        voted = {(v.validator, v.worker) for v in self.votes}
        if len(voted) < len(self.votes):
            return False
        for v in self.votes:
            if ids.get(v.worker) != v.update_id:
                return False
        # Signatures come last: they cost most.
        return all(t.authentic(keys) for t in self.transactions)


@dataclass(frozen=True)
class Block:
    """A signed block.

    `hash` covers the previous hash, the body's root and the header; `signature` is the miner's over
    the hash.
    """

    round: int
    height: int
    previous: bytes
    miner: int
    stake: int
    body: BlockBody
    generated_s: float
    signature: bytes = field(default=b"", repr=False)

    @cached_property
    def hash(self) -> bytes:
        header = struct.pack(
            "<qqqqd", self.round, self.height, self.miner, self.stake, self.generated_s
        )
        return hashlib.sha256(b"block" + self.previous + header + self.body.root).digest()

    @property
    def size_bytes(self) -> int:
        return HEADER_BYTES + self.body.size_bytes

    def signed(self, keys: Keyring) -> Block:
        return replace(self, signature=keys.sign(self.miner, self.hash))

    def authentic(self, keys: Keyring, payload_digests: Mapping[int, bytes]) -> bool:
        """Return whether miner and transactions are authentic and the updates are the signed ones.

        `payload_digests[worker]` is the SHA-256 of the bytes that this block really carries for
        that worker.
        """
        return (
            keys.verify(self.miner, self.hash, self.signature)
            and all(payload_digests.get(u.worker) == u.digest for u in self.body.updates)
            and self.body.authentic(keys)
        )
