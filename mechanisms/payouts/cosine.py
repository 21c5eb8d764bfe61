"""Payment by similarity to the aggregate."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mechanisms.geometry import along_sum
from mechanisms.payouts.shares import PotParams, Shares
from mechanisms.plugin import param
from mechanisms.vocabulary import BlockObservation, FloatMatrix, UpdateRecord


@dataclass(frozen=True)
class CosineParams(PotParams):
    """Parameters of the plug-in below."""

    to: str = param(
        "all",
        help="what an update is compared with: the mean of all, the mean of the others, or each other worker's own update, "
        "of whose reports the median counts",
        choices=("all", "others", "committee"),
    )


class Cosine(Shares):
    """w_i = max(0, cos(u_i - g, mean_j u_j - g)): rewards conformity, and a colluding majority most of all.

    "others": the mean over j != i. "committee": w_i = max(0, median over j != i of cos(u_i - g, u_j - g)); a minority of
    colluders cannot move it far, a majority still can.
    """

    name = "cosine"
    summary = "a pot shared by each update's cosine to the mean of the accepted ones"
    reference = "guide on on-chain coordination, reward by cosine similarity"
    observes = frozenset({"updates", "aggregate"})
    Params = CosineParams

    def weights(self, seen: BlockObservation, accepted: list[UpdateRecord]) -> Mapping[int, float]:
        assert seen.updates is not None
        assert seen.start is not None
        rows = seen.updates[[i for i, r in enumerate(seen.records) if r.accepted]]
        # Rounded, so that equal updates get equal weights whatever the order of the sums.
        values = np.maximum(0.0, np.round(self._similarities(rows, seen.start), 12))
        return {r.worker: w for r, w in zip(accepted, values.tolist(), strict=True)}

    def _similarities(self, rows: FloatMatrix, start: FloatMatrix) -> NDArray[np.float64]:
        if self.params.to == "committee":
            return _median_of_reports(rows, start)
        own, along = along_sum(rows, start)
        whole = along.sum()
        if self.params.to == "others":
            aim = whole - 2 * along + own
            aim[aim < _ROUNDING * (whole + own)] = 0.0
            along = along - own
        else:
            aim = np.full(len(own), max(0.0, whole))
        scale = np.sqrt(own * aim)
        return np.divide(along, scale, out=np.zeros_like(scale), where=scale > 0)


def _median_of_reports(rows: FloatMatrix, start: FloatMatrix) -> NDArray[np.float64]:
    """Median over the others of the cosine to each one's own update; 0 where there is nobody else."""
    if len(rows) < 2:
        return np.zeros(len(rows))
    steps = rows.astype(np.float64) - start
    products = steps @ steps.T
    length = np.sqrt(np.diag(products))
    scale = np.outer(length, length)
    reports = np.divide(products, scale, out=np.zeros_like(products), where=scale > 0)
    np.fill_diagonal(reports, np.nan)
    return np.nanmedian(reports, axis=0)


_ROUNDING = 1e-12
"""Differences of squared lengths that are smaller than this part of them are rounding."""
