"""What every payment of a rule must be, whoever executes it, and the payment that undoes one."""

from __future__ import annotations

import json
from collections.abc import Iterable

from mechanisms.payouts.base import PayoutRule
from mechanisms.vocabulary import Memory, Payment
from sim.money.ledger import BURN, ISSUANCE


def check_memory(rule: PayoutRule, memory: Memory) -> Memory:
    """Return the memory after a JSON round trip; raise `ValueError` if the trip changes it."""
    try:
        again = json.loads(json.dumps(memory))
    except (TypeError, ValueError) as error:
        raise ValueError(f"{rule!r} remembers what is no plain JSON: {error}") from None
    if again != memory:
        raise ValueError(
            f"{rule!r} remembers what JSON changes: keys must be text, lists not tuples, "
            "numbers finite"
        )
    return again


def check_payments(
    rule: PayoutRule, payments: Iterable[Payment], devices: int, *, opening: bool = False
) -> None:
    """Raise `ValueError` unless amounts are integers, accounts exist and payers may pay.

    Devices pay only in the opening of a rule, where they join of their own will.
    """
    named = rule.accounts()
    for p in payments:
        if type(p.amount) is not int or not 0 <= p.amount < 2**63:
            raise ValueError(
                f"{rule!r} pays {p.amount!r}, should be an integer of base units in 0..2**63 - 1"
            )
        if type(p.payee) is int and not 0 <= p.payee < devices:
            raise ValueError(f"{rule!r} pays device {p.payee!r}, there are 0..{devices - 1}")
        if type(p.payee) is not int and p.payee != BURN and p.payee not in named:
            raise ValueError(f"{rule!r} pays {p.payee!r}, which is no account of its own")
        from_device = opening and type(p.payer) is int and 0 <= p.payer < devices
        if p.payer != ISSUANCE and p.payer not in named and not from_device:
            raise ValueError(
                f"{rule!r} pays from {p.payer!r}; only {ISSUANCE!r} and its own accounts can pay"
            )


def reversed_payment(p: Payment) -> Payment:
    """Return the payment that undoes another.

    What was issued is burned, what was burned is issued again.
    """
    payee = BURN if p.payer == ISSUANCE else p.payer
    payer = ISSUANCE if p.payee == BURN else p.payee
    return Payment(payee, p.amount, f"reorg.{p.reason}", payer)
