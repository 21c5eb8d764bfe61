"""Random streams keyed by identity: changing one rule or device leaves all other draws alone."""

from __future__ import annotations

import hashlib

import numpy as np
from numpy.random.bit_generator import ISeedSequence
from numpy.typing import DTypeLike, NDArray


class Streams:
    """The random streams of a seed, the same in every process and in any order of use."""

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def key(self, purpose: str, *identity: int | str) -> int:
        """Return the 128-bit key of one stream."""
        text = "\x1f".join((str(self.seed), purpose, *map(str, identity)))
        return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=16).digest(), "big")

    def rng(self, purpose: str, *identity: int | str) -> np.random.Generator:
        """Return a fresh generator for this purpose and identity (counter-based)."""
        key = _Key(self.key(purpose, *identity))
        # numpy's types leave out what its documentation allows.
        return np.random.Generator(np.random.Philox(key))  # type: ignore[arg-type]

    def seed63(self, purpose: str, *identity: int | str) -> int:
        """Return a non-negative 63-bit seed for libraries that take an integer, such as torch."""
        return self.key(purpose, *identity) >> 65


class _Key(ISeedSequence):
    """A key as Philox takes it: `Philox(key=...)`, which also asks the system for entropy, is slow.

    Args:
        key: of 128 bits.
    """

    def __init__(self, key: int) -> None:
        self._words = [key & (2**64 - 1), key >> 64]

    def generate_state(self, n_words: int, dtype: DTypeLike = np.uint32) -> NDArray[np.uint64]:
        """Return the two words of the key, the lower one first."""
        return np.array(self._words[:n_words], dtype=np.uint64)
