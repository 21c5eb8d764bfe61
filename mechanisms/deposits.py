"""Deposits of devices with a contract: part of a rule's memory, and the payments to match."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from mechanisms.vocabulary import OpeningObservation, Payment

TREASURY = "treasury"
DESTINATIONS = ("burn", TREASURY)


class Deposits:
    """Base units by device, all in one escrow account.

    `held` starts as the memory has it and changes with every call.
    """

    def __init__(self, account: str, held: Mapping[str, int] | None = None) -> None:
        self.account = account
        self.held = {int(d): amount for d, amount in (held or {}).items()}

    def __getitem__(self, device: int) -> int:
        return self.held.get(device, 0)

    def lock(
        self, seen: OpeningObservation, amount: int, reason: str = "stake.join", extra: int = 0
    ) -> list[Payment]:
        """Take `amount` from every device that has `amount + extra`; the others are not members."""
        self.held = {
            d: amount
            for d, has in zip(seen.devices, seen.balances, strict=True)
            if has >= amount + extra
        }
        if not amount:
            return []
        return [Payment(self.account, amount, reason, d) for d in self.held]

    def take(
        self, device: int, amount: int, payee: int | str, reason: str, *, penalty: bool = True
    ) -> list[Payment]:
        """Move at most `amount` of a device's deposit to `payee`, as a penalty or as a fee."""
        amount = min(amount, self[device])
        if not amount:
            return []
        self.held[device] -= amount
        return [Payment(payee, amount, reason, self.account, device if penalty else None)]

    def release(self, reason: str = "stake.back") -> list[Payment]:
        """Return every remaining deposit to its device."""
        payments = [
            Payment(d, amount, reason, self.account) for d, amount in self.held.items() if amount
        ]
        self.held = dict.fromkeys(self.held, 0)
        return payments

    def to_memory(self) -> dict[str, int]:
        """Return plain JSON."""
        return {str(d): amount for d, amount in self.held.items()}


def destroy(
    deposits: Deposits, device: int, amount: int, where: str, reporters: Iterable[int], reason: str
) -> list[Payment]:
    """Slash: move `amount` of a deposit to "burn", "treasury", or in equal parts to "reporters".

    The remainder of equal parts, or all of it if nobody reported, is burned.
    """
    amount = min(amount, deposits[device])
    if where != "reporters":
        return deposits.take(device, amount, where, reason)
    payees = sorted(reporters)
    share = amount // len(payees) if payees else 0
    payments = []
    for payee in payees:
        payments += deposits.take(device, share, payee, f"{reason}.reporter")
    return payments + deposits.take(device, amount - share * len(payees), "burn", reason)
