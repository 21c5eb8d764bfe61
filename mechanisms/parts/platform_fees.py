"""What a platform earns: a part of every reward, a fee to join, a subscription."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from mechanisms.deposits import Deposits
from mechanisms.parts.base import Part
from mechanisms.plugin import PluginError, param
from mechanisms.vocabulary import BlockObservation, Memory, OpeningObservation, Payment, Settlement

ORGANISATION, PLATFORM, PREPAID = "organisation", "platform", "escrow:subscription"
WHOLE = 10_000
"""Basis points in the whole."""


class PlatformFees(Part):
    """Takes basis points of every reward, a fee of every device that joins, and a subscription.

    Fees on rewards are rounded down, in favour of who is paid. The organisation prepays its
    subscription and gets back what it did not use; when it is used up nothing more is charged.
    """

    name = "platform-fees"
    summary = "basis points of rewards, a fee to join, a subscription of the organisation"
    reference = "on-chain federated learning proof of concept (seed 004), revenue of the platform"
    examples = ({}, {"reward_bps": 10_000, "join": 3}, {"subscription": 7, "prepaid": 20})

    @dataclass(frozen=True)
    class Params:
        reward_bps: int = param(
            100, help="part of every reward", unit="basis points", ge=0, le=WHOLE
        )
        join: int = param(
            0, help="paid by every device that joins", unit="base units", ge=0, le=10**12
        )
        subscription: int = param(
            0, help="paid by the organisation per block", unit="base units", ge=0, le=10**12
        )
        prepaid: int = param(
            0,
            help="what the organisation holds for its subscription and prepays",
            unit="base units",
            ge=0,
            le=10**15,
        )

        def __post_init__(self) -> None:
            if self.prepaid < self.subscription:
                message = f"must cover at least one subscription of {self.subscription}"
                raise PluginError(message, "prepaid", self.prepaid)

    params: Params

    def accounts(self) -> Mapping[str, int]:
        return {ORGANISATION: self.params.prepaid, PLATFORM: 0, PREPAID: 0}

    def open(self, seen: OpeningObservation) -> Settlement:
        p, joined = self.params, Deposits(PREPAID)
        joined.lock(seen, 0, extra=p.join)
        payments = [Payment(PLATFORM, p.join, "fee.join", device) for device in joined.held]
        payments.append(Payment(PREPAID, p.prepaid, "fee.prepaid", ORGANISATION))
        paid = tuple(payment for payment in payments if payment.amount)
        return Settlement(paid, {"members": sorted(joined.held), "prepaid": p.prepaid})

    def members(self, memory: Memory) -> frozenset[int] | None:
        return frozenset(memory["members"])

    def settle(self, seen: BlockObservation, payments: tuple[Payment, ...]) -> Settlement:
        due = min(self.params.subscription, seen.memory["prepaid"])
        own = [Payment(PLATFORM, due, "fee.subscription", PREPAID)] if due else []
        memory = {**seen.memory, "prepaid": seen.memory["prepaid"] - due}
        return Settlement((*self._charged(payments), *own), memory)

    def close(self, memory: Memory, payments: tuple[Payment, ...]) -> Settlement:
        left = memory["prepaid"]
        back = [Payment(ORGANISATION, left, "fee.back", PREPAID)] if left else []
        return Settlement((*self._charged(payments), *back))

    def _charged(self, payments: tuple[Payment, ...]) -> list[Payment]:
        """Return payments of which the platform takes its part."""
        charged = []
        for p in payments:
            rewarded = isinstance(p.payee, int) and p.reason.startswith("reward")
            fee = p.amount * self.params.reward_bps // WHOLE if rewarded else 0
            if fee:
                charged.append(replace(p, payee=PLATFORM, amount=fee, reason="fee.platform"))
            if p.amount > fee:
                charged.append(replace(p, amount=p.amount - fee))
        return charged
