"""Fees for recorded calls, from a prepaid deposit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from mechanisms.deposits import DESTINATIONS, TREASURY, Deposits
from mechanisms.parts.base import Part
from mechanisms.plugin import param
from mechanisms.vocabulary import BlockObservation, Memory, OpeningObservation, Payment, Settlement

PREPAID = "escrow:fees"


class Fees(Part):
    """Charges every call to a prepaid deposit.

    A device that can no longer pay the most expensive call is not eligible. One whose last units do
    not cover all calls of one block pays what it has.
    """

    name = "fees"
    summary = "a fee per recorded update, vote and block from a prepaid deposit"
    reference = (
        "guide on on-chain coordination, cost table; Ethereum yellow paper (gas bought in advance)"
    )
    observes = frozenset({"votes"})
    examples = ({}, {"deposit": 5, "vote": 2, "destination": "miner"})

    @dataclass(frozen=True)
    class Params:
        deposit: int = param(
            1_000,
            help="prepaid by every device; the remainder is returned",
            unit="base units",
            ge=0,
            le=10**15,
        )
        update: int = param(1, help="per update recorded", unit="base units", ge=0, le=10**12)
        vote: int = param(1, help="per vote recorded", unit="base units", ge=0, le=10**12)
        block: int = param(1, help="per block", unit="base units", ge=0, le=10**12)
        register: int = param(0, help="per device that joins", unit="base units", ge=0, le=10**12)
        destination: str = param(
            "burn",
            help="payee of the fees; a block's miner gets none of its own",
            choices=(*DESTINATIONS, "miner"),
        )

        def __post_init__(self) -> None:
            highest = max(self.update, self.vote, self.block)
            if self.deposit < highest:
                raise ValueError(
                    f"deposit = {self.deposit} does not cover the most expensive call, {highest}: "
                    "nobody would be eligible"
                )

    params: Params

    def accounts(self) -> Mapping[str, int]:
        return {PREPAID: 0, TREASURY: 0}

    def open(self, seen: OpeningObservation) -> Settlement:
        p, prepaid = self.params, Deposits(PREPAID)
        payments = prepaid.lock(seen, p.deposit, "fee.prepaid", extra=p.register)
        joined = "burn" if p.destination == "miner" else p.destination
        payments += [
            Payment(joined, p.register, "fee.register", d) for d in prepaid.held if p.register
        ]
        return Settlement(tuple(payments), prepaid.to_memory())

    def members(self, memory: Memory) -> frozenset[int] | None:
        highest = max(self.params.update, self.params.vote, self.params.block)
        return frozenset(int(d) for d, left in memory.items() if left >= highest)

    def locked(self, memory: Memory) -> Mapping[int, int]:
        return Deposits(PREPAID, memory).held

    def settle(self, seen: BlockObservation, payments: tuple[Payment, ...]) -> Settlement:
        p, prepaid, own = self.params, Deposits(PREPAID, seen.memory), list(payments)
        calls = [(r.worker, p.update, "fee.update") for r in seen.records]
        calls += [(v, p.vote, "fee.vote") for r in seen.records for v in (*r.positive, *r.negative)]
        if seen.miner is not None:
            calls.append((seen.miner, p.block, "fee.block"))
        for device, fee, reason in sorted(calls):
            own += prepaid.take(device, fee, self._payee(device, seen.miner), reason, penalty=False)
        return Settlement(tuple(own), prepaid.to_memory())

    def _payee(self, device: int, miner: int | None) -> int | str:
        if self.params.destination != "miner":
            return self.params.destination
        return "burn" if miner in (None, device) else miner

    def close(self, memory: Memory, payments: tuple[Payment, ...]) -> Settlement:
        return Settlement((*payments, *Deposits(PREPAID, memory).release("fee.back")))
