"""Fees by round, device and reason, and by participant.

The measured fee of each batch is apportioned to its calls by the chain's own prices.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

import pandas as pd

from chain_bridge.script import signer_name

if TYPE_CHECKING:
    from chain_bridge.script import Batch, Script

COLUMNS = ("round", "device", "reason", "calls", "fee")
PAYERS = ("participant", "transactions", "refused", "calls", "fees")


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

    The base of a batch, its header included, has reason "batch". In custody `devices` the device is
    the one that paid, -1 the operator. In custody `operator`, who pays all, it is the one that a
    call is about; the base belongs to none (-1).
    """

    def __init__(self, script: Script) -> None:
        self._script = script
        self._cells: dict[tuple[int, int, str], list[int]] = defaultdict(lambda: [0, 0])
        self._paid: dict[int, list[int]] = defaultdict(lambda: [0, 0, 0, 0])
        self.total = 0

    def add(self, batch: Batch, fee: int) -> None:
        """Add a batch's measured fee; the shares of its calls add up to it exactly."""
        script = self._script
        actions = script.actions[batch.start : batch.stop]
        self.total += fee
        shares = apportion(fee, [script.base.fee, *(script.price(a).fee for a in actions)])
        by_call = script.custody == "operator"
        devices = [a.device if by_call else batch.signer for a in actions]
        reasons = [a.reason for a in actions]
        self._cell((batch.round, batch.signer, "batch"), shares[0])
        for device, reason, share in zip(devices, reasons, shares[1:], strict=True):
            self._cell((batch.round, device, reason), share)
        self._pay(batch.signer, len(actions), fee, refused=False)

    def refused(self, round: int, fee: int, signer: int) -> None:
        """Add the fee of an attempt that the chain refused."""
        self.total += fee
        self._cell((round, signer, "refused"), fee)
        self._pay(signer, 0, fee, refused=True)

    def _cell(self, key: tuple[int, int, str], fee: int) -> None:
        cell = self._cells[key]
        cell[0] += 1
        cell[1] += fee

    def _pay(self, signer: int, calls: int, fee: int, *, refused: bool) -> None:
        for place, more in enumerate((1, refused, calls, fee)):
            self._paid[signer][place] += more

    def by_participant(self) -> pd.DataFrame:
        """Return one row for everybody who signed, the operator first: what each paid itself."""
        rows = [(signer_name(s), *counts) for s, counts in sorted(self._paid.items())]
        return pd.DataFrame(rows, columns=list(PAYERS))

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
