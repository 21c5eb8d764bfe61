"""What every payment of a payout rule must be, whoever executes it."""

from __future__ import annotations

import json
from collections.abc import Iterable

from mechanisms.payouts.base import PayoutRule
from mechanisms.vocabulary import Memory, Payment
from sim.ledger import BURN, ISSUANCE


def check_memory(rule: PayoutRule, memory: Memory) -> Memory:
    """The memory as a checkpoint would give it back; ValueError where that is something else than what the rule gave."""
    try:
        again = json.loads(json.dumps(memory))
    except (TypeError, ValueError) as error:
        raise ValueError(f"{rule!r} remembers what is no plain JSON: {error}") from None
    if again != memory:
        raise ValueError(
            f"{rule!r} remembers what JSON changes: keys must be text, lists not tuples, numbers finite"
        )
    return again


def check_payments(
    rule: PayoutRule, payments: Iterable[Payment], devices: int, *, opening: bool = False
) -> None:
    """ValueError for a payment that cannot be: no such account, no whole number of units, devices that never agreed."""
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
