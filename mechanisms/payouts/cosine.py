"""Payment by similarity to the aggregate."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from mechanisms.geometry import along_sum
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
        own, along = along_sum(seen.updates[[i for i, r in enumerate(seen.records) if r.accepted]], seen.start)
        whole = along.sum()
        if self.params.exclude_own:
            aim = whole - 2 * along + own
            aim[aim < _ROUNDING * (whole + own)] = 0.0
            along = along - own
        else:
            aim = np.full(len(own), max(0.0, whole))
        scale = np.sqrt(own * aim)
        cosine = np.divide(along, scale, out=np.zeros_like(scale), where=scale > 0)
        return {r.worker: max(0.0, w) for r, w in zip(accepted, cosine.round(12).tolist(), strict=True)}


_ROUNDING = 1e-12
"""Differences of squared lengths that are smaller than this part of them are rounding."""
