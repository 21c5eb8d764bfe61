"""The header of a batch on the chain: the first call of each batch is a remark of these bytes."""

from __future__ import annotations

import struct
from typing import NamedTuple

MAGIC = b"FSTK\x01"
SIZE = len(MAGIC) + 16 + 8 + 4 + 4 + 32
DRY_RUN = 2**32 - 1  # number of a batch that must never land


class Header(NamedTuple):
    """The name of a batch.

    `script`: 8 bytes of the script's digest; `batch`: its index; `batches`: how many the script
    has; `digest`: of its actions.
    """

    script: bytes
    batch: int
    batches: int
    digest: bytes

    def encode(self, identity: bytes) -> bytes:
        """Return the remark; `identity` are the run's 16 bytes."""
        numbers = struct.pack("<II", self.batch, self.batches)
        return MAGIC + identity + self.script + numbers + self.digest


def parse(extrinsic: bytes, identity: bytes) -> Header | None:
    """Return the header of a batch of this run; None for any other extrinsic."""
    at = extrinsic.find(MAGIC + identity)
    if at < 0 or len(extrinsic) < at + SIZE:
        return None
    at += len(MAGIC) + 16
    batch, batches = struct.unpack_from("<II", extrinsic, at + 8)
    return Header(extrinsic[at : at + 8], batch, batches, extrinsic[at + 16 : at + 48])
