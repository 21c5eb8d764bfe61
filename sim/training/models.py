"""Global models by key, kept while somebody may need them."""

from __future__ import annotations

from mechanisms.vocabulary import FloatMatrix
from sim.learning.engine import row_digest


class ModelStore:
    """`float32[P]` rows with their digests."""

    def __init__(self) -> None:
        self._rows: dict[int, FloatMatrix] = {}
        self._digests: dict[int, bytes] = {}
        self._next = 0

    def add(self, row: FloatMatrix) -> int:
        """Store a row and return its key."""
        key = self._next
        self._next += 1
        row.setflags(write=False)
        self._rows[key] = row
        self._digests[key] = row_digest(row)
        return key

    def __getitem__(self, key: int) -> FloatMatrix:
        return self._rows[key]

    def digest(self, key: int) -> bytes:
        """Return the SHA-256 of the row's bytes."""
        return self._digests[key]

    def keep(self, keys: set[int]) -> None:
        """Forget all others."""
        for key in self._rows.keys() - keys:
            del self._rows[key], self._digests[key]
