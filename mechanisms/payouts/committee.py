"""Payment of validators for the agreement of their votes."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from mechanisms.payouts.base import PayoutRule
from mechanisms.plugin import param
from mechanisms.split import part
from mechanisms.vocabulary import BlockObservation, Payment, Settlement


class _VotePay(PayoutRule):
    """Pays accepted workers the same and validators by the votes that they cast."""

    observes = frozenset({"votes"})

    @dataclass(frozen=True)
    class Params:
        worker: int = param(
            1_000, help="to each accepted worker", unit="base units", ge=0, le=10**12
        )
        vote: int = param(
            100, help="to a validator per vote, times its score", unit="base units", ge=0, le=10**12
        )

    params: Params

    def to_workers(self, seen: BlockObservation) -> list[Payment]:
        """Return the payments to accepted workers."""
        amount = self.params.worker
        return [Payment(r.worker, amount, "reward.worker") for r in seen.records if r.accepted]


class CommitteeMajority(_VotePay):
    """Pays a validator for every vote that agrees with the outcome, copied votes included."""

    name = "committee-majority"
    summary = "pays validators for votes that agree with the majority"
    reference = "guide on on-chain coordination, committee with majority payoff"

    def settle(self, seen: BlockObservation) -> Settlement:
        right: Counter[int] = Counter()
        for r in seen.records:
            right.update(r.positive if r.accepted else r.negative)
        payments = self.to_workers(seen)
        for validator, votes in sorted(right.items()):
            payments.append(Payment(validator, self.params.vote * votes, "reward.validator"))
        return Settlement(tuple(p for p in payments if p.amount))


class PeerPrediction(_VotePay):
    """Correlated agreement: pays agreement with peers beyond what their habits alone would give.

    For validators i and j with shares p_i, p_j of positive votes, over their common updates: s_ij =
    P(same vote) - (p_i p_j + (1 - p_i)(1 - p_j)). A validator earns vote * votes * max(0, mean_j
    s_ij) * 2, at most `vote` per vote. One that always votes the same, or tosses a coin, earns
    nothing.
    """

    name = "peer-prediction"
    summary = "pays validators for agreeing more than by habit"
    reference = (
        "Dasgupta and Ghosh 2013, WWW; Shnayder et al. 2016, arXiv:1603.03151 (correlated "
        "agreement)"
    )

    def settle(self, seen: BlockObservation) -> Settlement:
        cast: dict[int, dict[int, bool]] = {}
        for r in seen.records:
            for voters, vote in ((r.positive, True), (r.negative, False)):
                for v in voters:
                    cast.setdefault(v, {})[r.worker] = vote
        payments = self.to_workers(seen)
        for v in sorted(cast):
            peers = [p for p in sorted(cast) if p != v and cast[p].keys() & cast[v].keys()]
            if peers:
                score = sum(_excess(cast[v], cast[p]) for p in peers) / len(peers)
                share = round(min(1.0, max(0.0, 2 * score)), 12)
                amount = part(self.params.vote * len(cast[v]), share)
                payments.append(Payment(v, amount, "reward.validator"))
        return Settlement(tuple(p for p in payments if p.amount))


def _excess(mine: dict[int, bool], theirs: dict[int, bool]) -> float:
    """Return s_ij of the votes of two validators."""
    common = sorted(mine.keys() & theirs.keys())
    same = sum(mine[w] == theirs[w] for w in common) / len(common)
    p = sum(mine[w] for w in common) / len(common)
    q = sum(theirs[w] for w in common) / len(common)
    return same - (p * q + (1 - p) * (1 - q))
