"""The on-chain proof of concept: stake to join, a pool with a deadline, equal shares."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from mechanisms.deposits import Deposits
from mechanisms.payouts.base import PayoutRule
from mechanisms.plugin import param
from mechanisms.split import part
from mechanisms.vocabulary import BlockObservation, Memory, OpeningObservation, Payment, Settlement

POOL, STAKES, ORGANISATION, PLATFORM = "escrow:pool", "escrow:stakes", "organisation", "platform"


class EqualShare(PayoutRule):
    """Shares the pool equally among devices with an accepted update by the deadline.

    All stakes return, those of unsuccessful devices too. If nobody is successful the pool returns
    to the organisation.
    """

    name = "equal-share"
    summary = "a pool shared equally among all who ever had an update accepted, at a deadline"
    reference = "on-chain federated learning proof of concept (seed 004)"
    examples = ({}, {"stake": 500, "deadline": 4, "fee": 0.1})

    @dataclass(frozen=True)
    class Params:
        pool: int = param(
            100_000, help="deposit of the organisation", unit="base units", ge=0, le=10**15
        )
        stake: int = param(
            0,
            help="deposit of a device that wants to take part, before it sees the model",
            unit="base units",
            ge=0,
            le=10**15,
        )
        deadline: int = param(
            10,
            help="round after which nothing is paid any more; the pool is shared out in it",
            unit="rounds",
            ge=1,
        )
        fee: float = param(0.0, help="share of the pool that the platform keeps", ge=0, le=1)

    params: Params

    def accounts(self) -> Mapping[str, int]:
        return {ORGANISATION: self.params.pool, POOL: 0, STAKES: 0, PLATFORM: 0}

    def open(self, seen: OpeningObservation) -> Settlement:
        p = self.params
        stakes = Deposits(STAKES)
        payments = [Payment(POOL, p.pool, "pool.funded", ORGANISATION)] if p.pool else []
        payments += stakes.lock(seen, p.stake)
        return Settlement(
            tuple(payments), {"stakes": stakes.to_memory(), "verified": [], "open": True}
        )

    def members(self, memory: Memory) -> frozenset[int] | None:
        return frozenset(Deposits(STAKES, memory["stakes"]).held)

    def locked(self, memory: Memory) -> Mapping[int, int]:
        return Deposits(STAKES, memory["stakes"]).held if memory["open"] else {}

    def settle(self, seen: BlockObservation) -> Settlement:
        memory = dict(seen.memory)
        if not memory.get("open"):
            return Settlement()
        verified = set(memory["verified"])
        if seen.round <= self.params.deadline:
            verified |= {r.worker for r in seen.records if r.accepted}
        memory["verified"] = sorted(verified)
        if seen.round < self.params.deadline:
            return Settlement((), memory)
        memory["open"] = False
        return Settlement(tuple(x for x in self._close(memory) if x.amount), memory)

    def close(self, memory: Memory) -> Settlement:
        if not memory["open"]:
            return Settlement()
        return Settlement(tuple(x for x in self._close(memory) if x.amount))

    def _close(self, memory: Memory) -> list[Payment]:
        p, stakes = self.params, Deposits(STAKES, memory["stakes"])
        paid = sorted(set(memory["verified"]) & stakes.held.keys())
        fee = part(p.pool, p.fee)
        share = (p.pool - fee) // len(paid) if paid else 0
        payments = stakes.release()
        payments += [Payment(d, share, "reward.worker", POOL) for d in paid]
        payments.append(Payment(PLATFORM, fee, "fee.platform", POOL))
        rest = p.pool - fee - share * len(paid)
        payments.append(Payment(ORGANISATION, rest, "pool.refund", POOL))
        return payments
