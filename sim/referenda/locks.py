"""Stakes that are locked for ballots: one lock for all votes of a device, the largest of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from mechanisms.vocabulary import Payment
from sim.money.treasury import Treasury

ESCROW = "escrow:referenda"
"""The account that holds every locked stake."""


class Kept(NamedTuple):
    """A stake that stays locked after the vote."""

    until_s: float
    device: int
    amount: int


class Locks:
    """Locked base units by device.

    As on Substrate locks lie over each other: the same stake can stand behind ballots on several
    proposals, and what is locked is the largest of them.
    """

    def __init__(self, treasury: Treasury) -> None:
        self._treasury = treasury
        self.held: dict[int, int] = {}
        self.kept: list[Kept] = []

    def stake_of(self, device: int) -> int:
        """Return the base units that a device could lock: what it has and what is locked."""
        return self._treasury.balance(device) + self.held.get(device, 0)

    def keep(self, kept: Iterable[Kept]) -> None:
        """Keep stakes locked after their vote; `settle` moves the money."""
        self.kept += kept

    def settle(self, wanted: Iterable[Mapping[int, int]], time_s: float) -> None:
        """Lock what open votes want and what is kept, and give back the rest.

        Args:
            wanted: base units by device, for each open proposal.
            time_s: now; what was kept until now is given back.
        """
        self.kept = [kept for kept in self.kept if kept.until_s > time_s]
        needed: dict[int, int] = {}
        single = ({kept.device: kept.amount} for kept in self.kept)
        for amounts in (*wanted, *single):
            for device, amount in amounts.items():
                needed[device] = max(needed.get(device, 0), amount)
        payments = []
        for device in sorted(needed.keys() | self.held.keys()):
            change = needed.get(device, 0) - self.held.get(device, 0)
            if change > 0:
                payments.append(Payment(ESCROW, change, "vote.locked", device))
            elif change < 0:
                payments.append(Payment(device, -change, "vote.unlocked", ESCROW))
        self._treasury.post(payments, time_s=time_s)
        self.held = {device: amount for device, amount in needed.items() if amount}

    def to_state(self) -> dict[str, Any]:
        """Return JSON values."""
        held = {str(device): amount for device, amount in self.held.items()}
        return {"held": held, "kept": [list(kept) for kept in self.kept]}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Continue from `to_state`."""
        self.held = {int(device): amount for device, amount in state["held"].items()}
        self.kept = [Kept(*kept) for kept in state["kept"]]
