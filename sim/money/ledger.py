"""Money: int64 base units, double entry, journalled. Only this module moves it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from fedstake.errors import FedstakeError
from sim.clock import Clock
from sim.money.journal import Entry, Journal

ISSUANCE = "issuance"
BURN = "burn"
MAX_AMOUNT = 2**63 - 1
Mover = Callable[[str, str, int, str, float], None]
"""Moves money: payer, payee, base units, reason, simulated time in seconds."""


class LedgerError(FedstakeError, ValueError):
    """A posting that would break a rule of money; nothing of its batch is applied."""


@dataclass(frozen=True)
class Transfer:
    """One movement of money asked of the ledger."""

    debit: str
    credit: str
    amount: int
    reason: str
    asset: str


def device_account(device: int) -> str:
    """Return the account name of a device."""
    return f"device:{device}"


class Ledger:
    """Accounts of integers.

    `issuance` and `burn` are the two ends of the world; every other balance is >= 0.

    Conservation, checked after every posting: for each asset the sum over ordinary accounts equals
    issued minus burned.
    """

    def __init__(self) -> None:
        # What accounts hold, by asset; of an asset that was never posted everybody holds 0.
        self._accounts: dict[str, int] = {}
        self._balances: dict[str, dict[str, int]] = {}
        self._issued: dict[str, int] = {}
        self._burned: dict[str, int] = {}
        self.journal = Journal()

    def open(self, accounts: Iterable[str]) -> None:
        """Open accounts; opening one twice is harmless."""
        for account in accounts:
            if account in (ISSUANCE, BURN):
                raise LedgerError(f"{account} is not an ordinary account")
            for held in (self._accounts, *self._balances.values()):
                held.setdefault(account, 0)

    def balance(self, account: str, asset: str) -> int:
        """Return the base units held by an account."""
        held = self._balances.get(asset, self._accounts)
        if account not in held:
            raise LedgerError(f"no account {account!r}")
        return held[account]

    def balances(self, asset: str) -> dict[str, int]:
        """Return by account the base units that are held, a copy."""
        return dict(self._balances.get(asset, self._accounts))

    def issued(self, asset: str) -> int:
        return self._issued.get(asset, 0)

    def burned(self, asset: str) -> int:
        return self._burned.get(asset, 0)

    def post(self, transfers: Iterable[Transfer], *, time_s: float, round: int) -> None:
        """Apply a batch atomically: all of it, or none of it and a `LedgerError`."""
        batch = [t for t in transfers if self._well_formed(t).amount]
        if not batch:
            return
        changes: dict[str, dict[str, int]] = {}
        for t in batch:
            moves = changes.setdefault(t.asset, {})
            moves[t.debit] = moves.get(t.debit, 0) - t.amount
            moves[t.credit] = moves.get(t.credit, 0) + t.amount

        # Check everything before anything moves: a batch is atomic.
        for asset, moves in changes.items():
            self._check_moves(asset, moves)
        for asset, moves in changes.items():
            self._apply(asset, moves)
            self._check(asset)
        for t in batch:
            entry = Entry(time_s, round, t.debit, t.credit, t.asset, t.amount, t.reason)
            self.journal.new.append(entry)

    def mover(self, asset: str, clock: Clock) -> Mover:
        """Return a function that moves money between two ordinary accounts, in constant time.

        What leaves one reaches the other, so that conservation needs no sum; `check` makes it.
        The function raises `LedgerError` as `post` does.

        Args:
            asset: what it moves.
            clock: whose round the entries are of.
        """
        held = self._held(asset)
        append = self.journal.new.append

        def move(debit: str, credit: str, amount: int, reason: str, time_s: float) -> None:
            before, other = held.get(debit, 0), held.get(credit, MAX_AMOUNT)
            positive = type(amount) is int and amount > 0
            if positive and amount <= before and other <= MAX_AMOUNT - amount and debit != credit:
                held[debit] = before - amount
                held[credit] = other + amount
                append((time_s, clock.round, debit, credit, asset, amount, reason))
                return
            transfer = Transfer(debit, credit, amount, reason, asset)
            self.post([transfer], time_s=time_s, round=clock.round)

        return move

    def check(self) -> None:
        """Raise AssertionError unless every asset is conserved."""
        for asset in self._balances:
            self._check(asset)

    def _check_moves(self, asset: str, moves: Mapping[str, int]) -> None:
        """Raise `LedgerError` when a balance or the supply would leave its bounds."""
        for account, change in moves.items():
            if account in (ISSUANCE, BURN):
                continue
            before = self.balance(account, asset)
            if before + change < 0:
                raise LedgerError(f"{account} holds {before} {asset}, cannot pay {-change}")
            if before + change > MAX_AMOUNT:
                raise LedgerError(f"{account} would hold more than 2**63 - 1 {asset}")
        # Issuance only pays and burn only receives: their changes are what is made and destroyed.
        issued = self.issued(asset) - moves.get(ISSUANCE, 0)
        burned = self.burned(asset) + moves.get(BURN, 0)
        if issued - burned > MAX_AMOUNT:
            raise LedgerError(f"supply of {asset} would exceed 2**63 - 1")

    def _apply(self, asset: str, moves: Mapping[str, int]) -> None:
        """Change the balances of one asset."""
        held = self._held(asset)
        for account, change in moves.items():
            if account == ISSUANCE:
                self._issued[asset] = self.issued(asset) - change
            elif account == BURN:
                self._burned[asset] = self.burned(asset) + change
            else:
                held[account] += change

    def _held(self, asset: str) -> dict[str, int]:
        """Return what accounts hold of an asset: always the same dictionary."""
        if asset not in self._balances:
            self._balances[asset] = dict(self._accounts)
        return self._balances[asset]

    def _well_formed(self, t: Transfer) -> Transfer:
        if type(t.amount) is not int or not 0 <= t.amount <= MAX_AMOUNT:
            raise LedgerError(
                f"amount {t.amount!r} ({t.reason}) must be an integer of base units in 0..2**63-1"
            )
        if t.debit == t.credit or t.debit == BURN or t.credit == ISSUANCE:
            raise LedgerError(f"cannot move {t.amount} {t.asset} from {t.debit} to {t.credit}")
        for account in (t.debit, t.credit):
            if account not in (ISSUANCE, BURN) and account not in self._accounts:
                raise LedgerError(f"no account {account!r}")
        return t

    def _check(self, asset: str) -> None:
        total = sum(self._balances[asset].values())
        if total != self.issued(asset) - self.burned(asset):
            raise AssertionError(
                f"{asset} not conserved: {total} held, {self.issued(asset)} issued, "
                f"{self.burned(asset)} burned"
            )

    # --- checkpoints ------------------------------------------------------------------------------

    def to_state(self) -> dict[str, object]:
        """Return JSON values at a round boundary, without the journal, which only grows."""
        return {
            "accounts": list(self._accounts),
            "balances": {asset: list(held.values()) for asset, held in self._balances.items()},
            "issued": self._issued,
            "burned": self._burned,
        }

    @classmethod
    def from_state(cls, state: dict, journal: Iterable[Iterable[Any]]) -> Ledger:
        """Return the ledger of `to_state` with all entries of its journal."""
        ledger = cls()
        ledger.open(state["accounts"])
        ledger._balances = {
            asset: dict(zip(ledger._accounts, held, strict=True))
            for asset, held in state["balances"].items()
        }
        ledger._issued = dict(state["issued"])
        ledger._burned = dict(state["burned"])
        ledger.journal = Journal(journal)
        for asset, held in ledger._balances.items():
            if any(type(amount) is not int or amount < 0 for amount in held.values()):
                raise LedgerError(f"{asset}: a balance is no whole number from 0 on")
            ledger._check(asset)
        return ledger
