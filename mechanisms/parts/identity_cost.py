"""The price of an identity, which sybils must pay too."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from mechanisms.deposits import DESTINATIONS, TREASURY, Deposits
from mechanisms.parts.base import Part
from mechanisms.plugin import param
from mechanisms.vocabulary import Memory, OpeningObservation, Payment, Settlement

STAKES = "escrow:identities"


class IdentityCost(Part):
    """Takes a price and a stake at the start; a device that cannot pay both is not eligible."""

    name = "identity-cost"
    summary = "a price and a stake per identity"
    reference = (
        "guide on on-chain coordination, sybil resistance; Douceur 2002, IPTPS (identities must "
        "cost)"
    )
    examples = ({}, {"cost": 7, "stake": 11, "destination": "treasury"})

    @dataclass(frozen=True)
    class Params:
        cost: int = param(
            1_000,
            help="paid once by every identity, never returned",
            unit="base units",
            ge=0,
            le=10**15,
        )
        destination: str = param("burn", help="payee of the cost", choices=DESTINATIONS)
        stake: int = param(
            0,
            help="locked by every identity and returned at the end",
            unit="base units",
            ge=0,
            le=10**15,
        )

    params: Params

    def accounts(self) -> Mapping[str, int]:
        return {STAKES: 0, TREASURY: 0}

    def open(self, seen: OpeningObservation) -> Settlement:
        p, stakes = self.params, Deposits(STAKES)
        payments = stakes.lock(seen, p.stake, extra=p.cost)
        payments += [
            Payment(p.destination, p.cost, "identity.cost", d) for d in stakes.held if p.cost
        ]
        return Settlement(tuple(payments), stakes.to_memory())

    def members(self, memory: Memory) -> frozenset[int] | None:
        return frozenset(int(d) for d in memory)

    def locked(self, memory: Memory) -> Mapping[int, int]:
        return Deposits(STAKES, memory).held

    def close(self, memory: Memory, payments: tuple[Payment, ...]) -> Settlement:
        return Settlement((*payments, *Deposits(STAKES, memory).release()))
