"""Payout rules as a world asks them: every answer is checked, and so is every payment.

Devices, accounts and amounts are those that can be; the payment that undoes another is here too.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any

from mechanisms import answers
from mechanisms.combined import Combined
from mechanisms.contract import Contract
from mechanisms.failures import broken
from mechanisms.parts.base import Part
from mechanisms.payouts.base import PayoutRule
from mechanisms.vocabulary import (
    BlockObservation,
    Memory,
    OpeningObservation,
    Payment,
    Settlement,
)
from sim.money.ledger import BURN, ISSUANCE, LedgerError
from sim.money.treasury import Treasury

RESERVED = frozenset({"initial", "bribe"})
"""Reasons of entries that the house makes itself: sums of what rules pay leave them out."""
REORGANISED = "reorg."
"""What the reasons of undone payments begin with."""


class _Checked(Contract):
    """A rule or part whose answers are checked: a wrong one is a `PluginFailedError`.

    Args:
        inner: the rule or part.
        devices: how many devices there are.
    """

    inner: Any

    def __init__(self, inner: Contract, devices: int) -> None:
        super().__init__(inner.params)
        self.inner, self.pieces, self._devices = inner, (inner,), devices
        self.observes, self.anonymous = inner.observes, inner.anonymous

    def accounts(self) -> Mapping[str, int]:
        return answers.accounts(self.inner, "accounts", self.inner.accounts())

    def open(self, seen: OpeningObservation) -> Settlement:
        return self._settled("open", self.inner.open(seen), payers=range(self._devices))

    def members(self, memory: Memory) -> frozenset[int] | None:
        return answers.members(self.inner, "members", self.inner.members(memory))

    def aggregators(self, memory: Memory) -> frozenset[int] | None:
        return answers.members(self.inner, "aggregators", self.inner.aggregators(memory))

    def locked(self, memory: Memory) -> Mapping[int, int]:
        return answers.amounts(self.inner, "locked", self.inner.locked(memory))

    def _settled(
        self,
        method: str,
        answer: Any,
        *,
        payers: Collection[int] = (),
        others: Iterable[Payment] = (),
    ) -> Settlement:
        """Return a settlement whose payments can be made and whose memory can be kept.

        Args:
            method: that gave it.
            answer: what it gave.
            payers: devices that may pay, as when they join of their own will.
            others: payments of other rules, which it may hand on.
        """
        settled = answers.settlement(self.inner, method, answer)
        accounts: set[int | str] = {*self.accounts()}
        for p in others:
            accounts |= {p.payee, p.payer}
        for p in settled.payments:
            problem = _problem(p, self._devices, accounts, payers)
            if problem:
                raise broken(self.inner, method, problem)
        memory = settled.memory
        if memory is not None:
            memory = answers.plain_memory(self.inner, method, memory)
        return Settlement(tuple(settled.payments), memory)


class CheckedRule(_Checked, PayoutRule):
    """A payout rule whose answers are checked."""

    def settle(self, seen: BlockObservation) -> Settlement:
        return self._settled("settle", self.inner.settle(seen))

    def close(self, memory: Memory) -> Settlement:
        return self._settled("close", self.inner.close(memory))


class CheckedPart(_Checked, Part):
    """A part whose answers are checked."""

    def rejects(self, seen: BlockObservation) -> frozenset[int]:
        return answers.devices(self.inner, "rejects", self.inner.rejects(seen))

    def settle(self, seen: BlockObservation, payments: tuple[Payment, ...]) -> Settlement:
        answer = self.inner.settle(seen, payments)
        return self._settled("settle", answer, others=payments)

    def close(self, memory: Memory, payments: tuple[Payment, ...]) -> Settlement:
        answer = self.inner.close(memory, payments)
        return self._settled("close", answer, others=payments)


def checked(rule: PayoutRule, devices: int) -> PayoutRule:
    """Return a rule, with the parts around it, whose answers are checked one by one."""
    if type(rule) is Combined:
        parts = [CheckedPart(part, devices) for part in rule.parts]
        return Combined(CheckedRule(rule.rule, devices), parts)
    return CheckedRule(rule, devices)


class Payer:
    """The treasury as a rule uses it: what cannot be paid is an error of the rule."""

    def __init__(self, treasury: Treasury, rule: PayoutRule) -> None:
        self._treasury, self._rule = treasury, rule

    def post(self, payments: Iterable[Payment], method: str = "settle", **options: Any) -> None:
        """Execute payments that a method of the rule decided on, as `Treasury.post` does."""
        try:
            self._treasury.post(payments, **options)
        except LedgerError as error:
            raise broken(self._rule, method, str(error)) from error


def _problem(
    p: Payment, devices: int, accounts: Collection[int | str], payers: Collection[int]
) -> str:
    """Return why a payment cannot be made: reason, amount, payee or payer; "" when it can."""
    if p.reason in RESERVED or p.reason.startswith(REORGANISED):
        return f"pays for the reason {p.reason!r}, which is the house's own; name another"
    if type(p.amount) is not int or not 0 <= p.amount < 2**63:
        return f"pays {p.amount!r}, must be an integer of base units in 0..2**63 - 1"
    if type(p.payee) is int and not 0 <= p.payee < devices:
        return f"pays device {p.payee!r}, there are 0..{devices - 1}"
    if type(p.payee) is not int and p.payee != BURN and p.payee not in accounts:
        return f"pays {p.payee!r}, which is no account of its own"
    from_device = type(p.payer) is int and p.payer in payers
    if p.payer != ISSUANCE and p.payer not in accounts and not from_device:
        return f"pays from {p.payer!r}; only {ISSUANCE!r} and its own accounts can pay"
    return ""


def reversed_payment(p: Payment) -> Payment:
    """Return the payment that undoes another.

    What was issued is burned, what was burned is issued again.
    """
    payee = BURN if p.payer == ISSUANCE else p.payer
    payer = ISSUANCE if p.payee == BURN else p.payee
    return Payment(payee, p.amount, f"{REORGANISED}{p.reason}", payer)
