"""What names a batch on the chain: the first call of each is a remark of these bytes."""

from __future__ import annotations

import struct
from typing import NamedTuple

MAGIC = b"FSTK\x01"
SIZE = len(MAGIC) + 16 + 8 + 4 + 4 + 32
DRY_RUN = 2**32 - 1  # number of a batch that must never land


class Header(NamedTuple):
    """8 bytes of the script's digest (`form`), the batch's index, how many there are, the digest of its actions."""

    form: bytes
    batch: int
    batches: int
    digest: bytes

    def encode(self, identity: bytes) -> bytes:
        """The remark; `identity` are the run's 16 bytes."""
        return (
            MAGIC
            + identity
            + self.form
            + struct.pack("<II", self.batch, self.batches)
            + self.digest
        )


def parse(extrinsic: bytes, identity: bytes) -> Header | None:
    """The header of a batch of this run; None in any other extrinsic."""
    at = extrinsic.find(MAGIC + identity)
    if at < 0 or len(extrinsic) < at + SIZE:
        return None
    at += len(MAGIC) + 16
    batch, batches = struct.unpack_from("<II", extrinsic, at + 8)
    return Header(extrinsic[at : at + 8], batch, batches, extrinsic[at + 16 : at + 48])
