"""Payment by similarity to the aggregate."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mechanisms.payouts.shares import PotParams, Shares
from mechanisms.plugin import param
from mechanisms.vocabulary import BlockObservation, UpdateRecord


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
        rows = [i for i, r in enumerate(seen.records) if r.accepted]
        steps = seen.updates[rows].astype(np.float64) - seen.start
        # Rounded, so that equal updates get equal weights whatever the order of the sums.
        values = np.maximum(0.0, np.round(self._similarities(steps), 12))
        return {r.worker: float(v) for r, v in zip(accepted, values, strict=True)}

    def _similarities(self, steps: NDArray[np.float64]) -> NDArray[np.float64]:
        if self.params.to == "committee":
            if len(steps) < 2:
                return np.zeros(len(steps))
            reports = np.array([_cosines(steps, step) for step in steps])
            np.fill_diagonal(reports, np.nan)
            return np.nanmedian(reports, axis=0)
        total = steps.sum(axis=0)
        if self.params.to == "all":
            return _cosines(steps, total)
        return np.array([_cosines(step[None], total - step)[0] for step in steps])


def _cosines(steps: NDArray[np.float64], aim: NDArray[np.float64]) -> NDArray[np.float64]:
    """Cosine of each row with a vector; 0 where either has no length."""
    scale = np.linalg.norm(steps, axis=1) * np.linalg.norm(aim)
    return np.divide(steps @ aim, scale, out=np.zeros(len(steps)), where=scale > 0)
