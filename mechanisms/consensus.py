"""Which candidate block wins, and how long mining takes: pure functions."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Candidate:
    """A block as one miner sees it: stake (base units) and public key of its miner, arrival."""

    stake: int
    arrival_s: float
    miner_key: bytes


def rank_by_stake(
    candidates: Sequence[Candidate], previous_hash: bytes, tie_rule: str
) -> list[int]:
    """Return indices of candidates in the order in which a miner tries them: highest stake first.

    VBFL's proof of stake. `hash`: equal stakes are ordered by SHA-256 of (previous hash, miner's
    public key), lowest first, which nobody can choose. `latest-arrival`: of several blocks with one
    stake only the latest survives, as in the authors' code, which stores blocks by stake.
    """
    order = range(len(candidates))
    if tie_rule == "hash":
        return sorted(
            order,
            key=lambda i: (-candidates[i].stake, _tie(previous_hash, candidates[i].miner_key)),
        )
    survivor: dict[int, int] = {}
    for i in sorted(
        order, key=lambda i: (candidates[i].arrival_s, _tie(previous_hash, candidates[i].miner_key))
    ):
        survivor[candidates[i].stake] = i
    return [survivor[stake] for stake in sorted(survivor, reverse=True)]


def _tie(previous_hash: bytes, key: bytes) -> bytes:
    return hashlib.sha256(previous_hash + key).digest()


def mining_time_s(difficulty: int, hashes_per_s: float, rng: np.random.Generator) -> float:
    """Draw the seconds that proof of work takes: memoryless, mean 16**difficulty / hashes_per_s.

    `difficulty` is the number of leading hexadecimal zeros.
    """
    return float(rng.exponential(16.0**difficulty / hashes_per_s))
