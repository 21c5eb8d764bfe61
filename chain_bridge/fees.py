"""Fees by round, device and reason.

The measured fee of each batch is apportioned to its calls by the chain's own prices.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

import pandas as pd

if TYPE_CHECKING:
    from chain_bridge.script import Batch, Script

COLUMNS = ("round", "device", "reason", "calls", "fee")


def apportion(total: int, weights: list[int]) -> list[int]:
    """Return integers in proportion to weights that sum to `total`.

    What is left after rounding down goes to the largest remainders, of equal ones to the earlier.
    """
    if not weights:
        return []
    whole = sum(weights)
    if not whole:
        return [total, *[0] * (len(weights) - 1)]
    shares = [total * w // whole for w in weights]
    order = sorted(range(len(weights)), key=lambda i: (-(total * weights[i] % whole), i))
    for i in order[: total - sum(shares)]:
        shares[i] += 1
    return shares


class FeeBook:
    """Fees by round, device and reason.

    The base of a batch, its header included, belongs to no device (`device` -1, reason "batch").
    """

    def __init__(self, script: Script) -> None:
        self._script = script
        self._cells: dict[tuple[int, int, str], list[int]] = defaultdict(lambda: [0, 0])
        self.total = 0

    def add(self, batch: Batch, fee: int) -> None:
        """Add a batch's measured fee; the shares of its calls add up to it exactly."""
        script = self._script
        actions = script.actions[batch.start : batch.stop]
        self.total += fee
        shares = apportion(fee, [script.base.fee, *(script.prices[a.kind].fee for a in actions)])
        keys = [(batch.round, -1, "batch"), *((a.round, a.device, a.reason) for a in actions)]
        for key, share in zip(keys, shares, strict=True):
            cell = self._cells[key]
            cell[0] += 1
            cell[1] += share

    def refused(self, round: int, fee: int) -> None:
        """Add the fee of an attempt that the chain refused."""
        self.total += fee
        cell = self._cells[round, -1, "refused"]
        cell[0] += 1
        cell[1] += fee

    def frame(self) -> pd.DataFrame:
        """Return one row per round, device and reason; `fee` in native units."""
        rows = [(*key, *cell) for key, cell in self._cells.items()]
        return pd.DataFrame(rows, columns=list(COLUMNS)).sort_values(
            ["round", "device", "reason"], ignore_index=True
        )

    def by_round(self) -> pd.DataFrame:
        """Return calls and fee of each round.

        Where the run recorded utilities, also the mean utility of honest and of other devices.
        """
        fees = self.frame().groupby("round", as_index=False)[["calls", "fee"]].sum()
        utilities = self._script.plan.run.mean_utilities()
        return fees if utilities is None else fees.merge(utilities, on="round", how="left")
