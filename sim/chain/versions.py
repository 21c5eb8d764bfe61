"""Versions of the global model, as a chain that nobody can rewrite unseen."""

from __future__ import annotations

import hashlib
import math
import struct
from collections.abc import Iterable, Sequence
from dataclasses import astuple, dataclass
from functools import cached_property
from typing import Any, NamedTuple

FIRST = b"\0" * 32
"""Parent of the first version."""
ROUNDING = 1e-12
"""Accuracies are ratios of counts: keeps 0.68 - 0.60 from exceeding 0.08 by rounding."""


@dataclass(frozen=True)
class Version:
    """One model: SHA-256 of its weights, hash of the block that made it, and parent version.

    `author` is the block's miner, -1 where there is none. `accuracy` is on the held-out samples,
    NaN where there are none. A rollback names the version that it `restores`.
    """

    parent: bytes
    weights: bytes
    block: bytes
    round: int
    author: int
    accuracy: float
    restores: bytes = b""

    @cached_property
    def id(self) -> bytes:
        """SHA-256 over everything above."""
        numbers = struct.pack("<qqd", self.round, self.author, self.accuracy)
        hashes = (self.parent, self.weights, self.block, self.restores)
        return hashlib.sha256(
            b"version" + numbers + b"".join(bytes([len(h)]) + h for h in hashes)
        ).digest()

    def to_plain(self) -> list[Any]:
        """Return JSON values, hashes in hexadecimal."""
        return [x.hex() if isinstance(x, bytes) else x for x in astuple(self)]

    @classmethod
    def from_plain(cls, values: Sequence[Any]) -> Version:
        """Return the version that `to_plain` wrote."""
        parent, weights, block, when, author, accuracy, restores = values
        read = bytes.fromhex
        return cls(read(parent), read(weights), read(block), when, author, accuracy, read(restores))


class Kept(NamedTuple):
    """A version and the key of its model in the world's store."""

    version: Version
    model: int


def verify(versions: Iterable[Version], newest: bytes) -> bool:
    """Return whether these are all versions up to the id `newest`, unchanged.

    Every rollback must restore one of them.
    """
    weights: dict[bytes, bytes] = {}
    last = FIRST
    for v in versions:
        if v.parent != last or (v.restores and weights.get(v.restores) != v.weights):
            return False
        last = v.id
        weights[last] = v.weights
    return last == newest


def worth_restoring(kept: Sequence[Kept], accuracy: float, drop: float) -> Kept | None:
    """Return the most accurate version kept (ties: the newest) if a model falls far below it.

    That is by more than `drop`; a `drop` of 0 never restores anything. A version whose accuracy is
    not known (NaN) is never the best. None: nothing to restore.
    """
    if not drop or math.isnan(accuracy):
        return None
    measured = [k for k in reversed(kept) if not math.isnan(k.version.accuracy)]
    best = max(measured, key=lambda k: k.version.accuracy, default=None)
    if best is None:
        return None
    return best if best.version.accuracy - accuracy > drop + ROUNDING else None
