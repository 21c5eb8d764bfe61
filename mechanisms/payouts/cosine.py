"""Payment by similarity to the aggregate."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from statistics import median

import numpy as np

from mechanisms.geometry import cosines_to_sum, finite_rows
from mechanisms.payouts.shares import Shares
from mechanisms.plugin import param
from mechanisms.vocabulary import BlockObservation, UpdateRecord


class Cosine(Shares):
    """w_i = max(0, cos(u_i - g, mean_j u_j - g)): rewards conformity, and a colluding majority.

    "others": the mean over j != i. "committee": w_i = max(0, median over validators v of r_vi) with
    r_vi the cosine that v reports; a minority of liars cannot move it far, a majority can. Without
    validators nobody is paid.
    """

    name = "cosine"
    summary = "a pot shared by each update's cosine to the mean of the accepted ones"
    reference = (
        "guide on on-chain coordination, reward by cosine similarity; median of committee reports"
    )
    observes = frozenset({"updates", "aggregate"})
    examples = ({}, {"to": "others"}, {"to": "committee"})

    @dataclass(frozen=True)
    class Params(Shares.Params):
        to: str = param(
            "all",
            help="what an update is compared with: the mean of all accepted ones, the mean of the "
            "others; or, by each validator, "
            "the mean of what it was sent, and the median of the validators' reports counts",
            choices=("all", "others", "committee"),
        )

    params: Params

    def __init__(self, params: Params | None = None) -> None:
        super().__init__(params)
        if self.params.to == "committee":
            self.observes = frozenset({"reports"})

    def weights(self, seen: BlockObservation, accepted: list[UpdateRecord]) -> Mapping[int, float]:
        if self.params.to == "committee":
            return {r.worker: _reported(r) for r in accepted}
        rows = seen.updates[[i for i, r in enumerate(seen.records) if r.accepted]]
        values, finite = np.zeros(len(rows)), finite_rows(rows)
        # Rounded, so that equal updates get equal weights whatever the order of the sums.
        others = self.params.to == "others"
        values[finite] = cosines_to_sum(rows[finite], seen.start, others=others).round(12)
        return {r.worker: max(0.0, w) for r, w in zip(accepted, values.tolist(), strict=True)}


def _reported(r: UpdateRecord) -> float:
    """Return the median of the reported cosines, at least 0; 0 without reports."""
    if not r.reports:
        return 0.0
    return max(0.0, median(score for _, score in r.reports))
