"""A fixed amount for participation."""

from __future__ import annotations

from dataclasses import dataclass

from mechanisms.payouts.base import PayoutRule
from mechanisms.plugin import param
from mechanisms.vocabulary import BlockObservation, Payment, Settlement


class Flat(PayoutRule):
    """Pays participation: quality, votes and work make no difference."""

    name = "flat"
    summary = "a fixed amount per participation"
    reference = "textbook"
    observes = frozenset({"votes"})
    examples = ({}, {"worker": 0, "miner": 7})

    @dataclass(frozen=True)
    class Params:
        worker: int = param(
            1_000,
            help="to each worker with an update in the block, accepted or not",
            unit="base units",
            ge=0,
            le=10**12,
        )
        validator: int = param(
            100,
            help="to each validator with a vote in the block",
            unit="base units",
            ge=0,
            le=10**12,
        )
        miner: int = param(100, help="to the block's miner", unit="base units", ge=0, le=10**12)

    params: Params

    def most_issued(self, devices: int) -> int:
        p = self.params
        return devices * max(p.worker, p.validator) + p.miner

    def settle(self, seen: BlockObservation) -> Settlement:
        p = self.params
        payments = [Payment(r.worker, p.worker, "reward.worker") for r in seen.records]
        voters = {v for r in seen.records for v in (*r.positive, *r.negative)}
        payments += [Payment(v, p.validator, "reward.validator") for v in sorted(voters)]
        if seen.miner is not None:
            payments.append(Payment(seen.miner, p.miner, "reward.miner.block"))
        return Settlement(tuple(x for x in payments if x.amount))
