"""The one door for money: everything that moves goes through `Treasury.post`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from mechanisms.vocabulary import Payment
from sim.clock import Clock
from sim.money.journal import Entry
from sim.money.ledger import Ledger, Mover, Transfer, device_account
from sim.recording import History


class Treasury:
    """Accounts of devices and of rules in one asset, over a double-entry ledger."""

    move: Mover
    """Moves base units between two accounts by name, in constant time.

    For games that post 10^5 entries a second: the sum of all balances is checked by `check`, at the
    latest at the end of a round. A restored treasury has another one.
    """

    def __init__(self, asset: str, clock: Clock) -> None:
        self.asset = asset
        self._clock = clock
        self._use(Ledger())
        self._count_from_here()
        self._spendable: dict[int, int] = {}

    def _use(self, ledger: Ledger) -> None:
        self.ledger = ledger
        self.move = ledger.mover(self.asset, self._clock)

    def open(self, balances: Mapping[int, int], accounts: Mapping[str, int]) -> None:
        """Open the accounts of devices and of the rules, and issue what they hold at the start."""
        held = {device_account(device): amount for device, amount in balances.items()}
        held |= accounts
        self.ledger.open(held)
        self.post(Payment(account, amount, "initial") for account, amount in held.items())
        self._count_from_here()

    def add_accounts(self, accounts: Iterable[str]) -> None:
        """Open more accounts of rules during the run, empty; opening one twice is harmless."""
        self.ledger.open(accounts)

    def post(
        self,
        payments: Iterable[Payment],
        *,
        time_s: float | None = None,
        round: int | None = None,
    ) -> None:
        """Execute payments as one batch, all or none: `LedgerError` when one cannot be made.

        Args:
            payments: from and to devices (by number), accounts of rules (by name), issuance and
                burn.
            time_s: simulated time of the entries, by default the clock's.
            round: of the entries, by default the clock's.
        """
        now = self._clock
        transfers = [
            Transfer(_account(p.payer), _account(p.payee), p.amount, p.reason, self.asset)
            for p in payments
        ]
        self.ledger.post(
            transfers,
            time_s=now.time_s if time_s is None else time_s,
            round=now.round if round is None else round,
        )

    def check(self) -> None:
        """Raise AssertionError unless money is conserved."""
        self.ledger.check()

    def held(self, account: str) -> int:
        """Return the base units of an account by name."""
        return self.ledger.balance(account, self.asset)

    def balance(self, device: int) -> int:
        """Return the base units that a device holds."""
        return self.ledger.balance(device_account(device), self.asset)

    # --- side payments ------------------------------------------------------------------------

    def set_aside(self, devices: Iterable[int]) -> None:
        """Reserve current balances for side payments; later income is excluded."""
        self._spendable = {device: self.balance(device) for device in devices}

    def pay_aside(self, payer: int, payee: int, amount: int, reason: str, time_s: float) -> bool:
        """Move base units between devices beside the rules; return whether the payer has them.

        Only money that was set aside can be spent.

        Rewards cannot be spent this way: a device's chain may yet take them back.
        """
        if amount > self._spendable[payer]:
            return False
        self._spendable[payer] -= amount
        self._spendable[payee] += amount
        self.post([Payment(payee, amount, reason, payer)], time_s=time_s)
        return True

    # --- the present round --------------------------------------------------------------------

    def begin_round(self) -> None:
        """Count incomes from here on. What devices paid to join is part of their first round."""
        if self._clock.round > 1:
            self._count_from_here()

    def _count_from_here(self) -> None:
        """Remember what is there now: incomes are what has been added to it since."""
        ledger, asset = self.ledger, self.asset
        self._first_entry = len(ledger.journal)
        self._before = ledger.balances(asset)
        self._made_before = ledger.issued(asset), ledger.burned(asset)

    def entries(self) -> Sequence[Entry]:
        """Return the journal's entries of the present round."""
        return self.ledger.journal[self._first_entry :]

    def incomes(self) -> dict[str, int]:
        """Return by account what came in less what went out in the present round."""
        before = self._before
        held = self.ledger.balances(self.asset)
        return {account: amount - before.get(account, 0) for account, amount in held.items()}

    def issued_and_burned(self) -> tuple[int, int]:
        """Return the base units created and destroyed in the present round."""
        ledger, asset = self.ledger, self.asset
        issued, burned = self._made_before
        return ledger.issued(asset) - issued, ledger.burned(asset) - burned

    def journal(self) -> pa.Table:
        """Return the whole journal as the table of that name."""
        journal = self.ledger.journal
        return pa.table({"index": np.arange(len(journal)), **journal.arrow()})

    def end_round(self) -> None:
        """Make columns of the entries of the round while they are still in the cache."""
        self.ledger.journal.settle()

    # --- checkpoints --------------------------------------------------------------------------

    def to_state(self) -> dict[str, Any]:
        """Return JSON values at a round boundary; the journal is in `history`."""
        spendable = {str(device): amount for device, amount in self._spendable.items()}
        return {"ledger": self.ledger.to_state(), "spendable": spendable}

    def history(self, after: int) -> History:
        """Return the entries of the journal after a mark."""
        entries = self.ledger.journal
        return History(entries[after:], len(entries))

    def restore(self, state: Mapping[str, Any], journal: Iterable[Iterable[Any]]) -> None:
        """Continue from `to_state` and all entries of `history`."""
        ledger = Ledger.from_state(state["ledger"], journal)
        absent = self.ledger.balances(self.asset).keys() - ledger.balances(self.asset).keys()
        if absent:
            raise ValueError(f"no account {min(absent)!r}")
        self._use(ledger)
        self.journal()  # raises where an entry is of other types
        self._spendable = {int(device): amount for device, amount in state["spendable"].items()}


def _account(name: int | str) -> str:
    return device_account(name) if isinstance(name, int) else name
