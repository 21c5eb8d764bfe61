"""VBFL's rewards: a unit per sample trained, per vote, per recorded vote, per block."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from mechanisms.payouts.base import PayoutRule
from mechanisms.plugin import param
from mechanisms.vocabulary import BlockObservation, Payment, Settlement, UpdateRecord


class Vbfl(PayoutRule):
    """Pays self-reported work: samples and epochs that an accepted worker claims, unchecked.

    With unit reward u, an accepted worker earns u * samples * epochs, a validator u per recorded
    vote whatever the vote, the block's miner u per recorded vote and u for the block.
    """

    name = "vbfl"
    summary = (
        "VBFL: per sample and epoch to accepted workers, per vote to validators, per recorded "
        "vote to the miner"
    )
    reference = "Chen et al., arXiv:2101.03300, section 'Reward'; authors' code, process_block"
    observes = frozenset({"votes", "claims"})
    examples = ({}, {"unit_reward": 7}, {"unit_reward": 0})

    @dataclass(frozen=True)
    class Params:
        unit_reward: int = param(
            1, help="base units paid per unit of work", unit="base units", ge=0, le=10**12
        )

    params: Params

    def settle(self, seen: BlockObservation) -> Settlement:
        unit = self.params.unit_reward
        payments = [
            Payment(r.worker, unit * self.work(r), "reward.worker")
            for r in seen.records
            if r.accepted
        ]
        votes = Counter(v for r in seen.records for v in (*r.positive, *r.negative))
        payments += [Payment(v, unit * n, "reward.validator") for v, n in sorted(votes.items())]
        if seen.miner is not None:
            payments.append(Payment(seen.miner, unit * votes.total(), "reward.miner.verification"))
            payments.append(Payment(seen.miner, unit, "reward.miner.block"))
        return Settlement(tuple(p for p in payments if p.amount))

    def work(self, record: UpdateRecord) -> int:
        """Return the samples times epochs that are paid."""
        return record.claimed_samples * record.claimed_epochs


class VbflVerified(Vbfl):
    """VBFL's rewards for the work that an audit finds, not for claimed work."""

    name = "vbfl-verified"
    summary = "VBFL's rewards for verified instead of claimed work"
    reference = "Chen et al., arXiv:2101.03300, section 'Reward', with re-execution"
    observes = frozenset({"votes", "work"})

    def work(self, record: UpdateRecord) -> int:
        return record.verified_samples * record.verified_epochs
