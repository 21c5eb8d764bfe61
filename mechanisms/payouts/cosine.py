"""Payment by similarity to the aggregate."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from mechanisms.payouts.shares import PotParams, Shares
from mechanisms.plugin import param
from mechanisms.vocabulary import BlockObservation, UpdateRecord


@dataclass(frozen=True)
class CosineParams(PotParams):
    """Parameters of the plug-in below."""

    exclude_own: bool = param(False, help="compare with the mean of the others, not with a mean that holds the own update")


class Cosine(Shares):
    """w_i = max(0, cos(u_i - g, mean_j u_j - g)): rewards conformity, and a colluding majority most of all."""

    name = "cosine"
    summary = "a pot shared by each update's cosine to the mean of the accepted ones"
    reference = "guide on on-chain coordination, reward by cosine similarity"
    observes = frozenset({"updates", "aggregate"})
    Params = CosineParams

    def weights(self, seen: BlockObservation, accepted: list[UpdateRecord]) -> Mapping[int, float]:
        assert seen.updates is not None
        assert seen.start is not None
        rows = [i for i, r in enumerate(seen.records) if r.accepted]
        steps = seen.updates[rows].astype(np.float64) - seen.start
        total = steps.sum(axis=0)
        weights = {}
        for r, step in zip(accepted, steps, strict=True):
            aim = total - step if self.params.exclude_own else total
            scale = float(np.linalg.norm(step) * np.linalg.norm(aim))
            weights[r.worker] = max(0.0, round(float(step @ aim) / scale, 12)) if scale > 0 else 0.0
        return weights
