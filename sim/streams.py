"""Random streams keyed by identity: changing one rule or device leaves all other draws alone."""

from __future__ import annotations

import hashlib

import numpy as np


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
        return np.random.Generator(np.random.Philox(key=self.key(purpose, *identity)))

    def seed63(self, purpose: str, *identity: int | str) -> int:
        """Return a non-negative 63-bit seed for libraries that take an integer, such as torch."""
        return self.key(purpose, *identity) >> 65
