"""Random streams keyed by identity, so that changing one rule or one device leaves every other draw as it was."""

from __future__ import annotations

import hashlib

import numpy as np


class Streams:
    """`rng(purpose, *identity)` is the same stream in every process, whatever else was drawn before."""

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def key(self, purpose: str, *identity: int | str) -> int:
        """128-bit key of one stream."""
        text = "\x1f".join((str(self.seed), purpose, *map(str, identity)))
        return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=16).digest(), "big")

    def rng(self, purpose: str, *identity: int | str) -> np.random.Generator:
        """A fresh generator for this purpose and identity (counter-based: keys are independent streams)."""
        return np.random.Generator(np.random.Philox(key=self.key(purpose, *identity)))

    def seed63(self, purpose: str, *identity: int | str) -> int:
        """A non-negative 63-bit seed for libraries that want an integer (torch)."""
        return self.key(purpose, *identity) >> 65
