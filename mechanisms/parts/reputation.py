"""A persistent reputation that scales the rewards of workers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from mechanisms.deposits import TREASURY
from mechanisms.parts.base import Part
from mechanisms.plugin import param
from mechanisms.split import part
from mechanisms.vocabulary import (
    BlockObservation,
    Memory,
    OpeningObservation,
    Payment,
    Settlement,
    UpdateRecord,
)

WORK = ("reward.worker", "reward.contributor")
"""Reasons of payments for updates."""


class Reputation(Part):
    """r <- (1 - rate) r + rate * score after every block; scales rewards by the r before it.

    Score of a worker: 1 if accepted, else 0; or sum of r_v over those that voted for it / sum over
    all that voted. Score of a validator: the share of its votes that agree with the outcome. The
    withheld part of a reward is not issued, or goes to the treasury if a pool pays it.
    """

    name = "reputation"
    summary = "multiplies workers' rewards by a moving average of their past scores"
    reference = (
        "guide on on-chain coordination, participant registry: history, success, peer attestation"
    )
    observes = frozenset({"votes"})
    examples = ({}, {"source": "attestations", "rate": 1.0})

    @dataclass(frozen=True)
    class Params:
        initial: float = param(0.5, help="reputation of a newcomer", ge=0, le=1)
        rate: float = param(
            0.2, help="weight of the newest score in the moving average", gt=0, le=1
        )
        source: str = param(
            "outcome",
            help="score of a worker: accepted or not, or the reputations of those that voted "
            "for it",
            choices=("outcome", "attestations"),
        )
        minimum: float = param(0.0, help="devices with less are not eligible", ge=0, le=1)

        def __post_init__(self) -> None:
            if self.minimum > self.initial:
                raise ValueError(
                    f"minimum = {self.minimum:g} is more than the initial reputation "
                    f"{self.initial:g}: nobody would be eligible"
                )

    params: Params

    def accounts(self) -> Mapping[str, int]:
        return {TREASURY: 0}

    def open(self, seen: OpeningObservation) -> Settlement:
        return Settlement((), {str(d): self.params.initial for d in seen.devices})

    def members(self, memory: Memory) -> frozenset[int] | None:
        return frozenset(int(d) for d, r in memory.items() if r >= self.params.minimum)

    def settle(self, seen: BlockObservation, payments: tuple[Payment, ...]) -> Settlement:
        before = {int(d): r for d, r in seen.memory.items()}
        return Settlement(self._scale(payments, before), self._updated(before, seen.records))

    def close(self, memory: Memory, payments: tuple[Payment, ...]) -> Settlement:
        return Settlement(self._scale(payments, {int(d): r for d, r in memory.items()}))

    def _scale(
        self, payments: tuple[Payment, ...], reputation: Mapping[int, float]
    ) -> tuple[Payment, ...]:
        scaled: list[Payment] = []
        for p in payments:
            if isinstance(p.payee, int) and p.reason in WORK:
                scaled += _scaled(p, reputation.get(p.payee, self.params.initial))
            else:
                scaled.append(p)
        return tuple(scaled)

    def _updated(
        self, before: dict[int, float], records: tuple[UpdateRecord, ...]
    ) -> dict[str, float]:
        scores = {r.worker: self._score(r, before) for r in records}
        votes: dict[int, list[bool]] = {}
        for r in sorted(records, key=lambda r: r.worker):
            for v in r.positive:
                votes.setdefault(v, []).append(r.accepted)
            for v in r.negative:
                votes.setdefault(v, []).append(not r.accepted)
        scores |= {v: sum(right) / len(right) for v, right in votes.items()}
        # Who neither worked nor voted keeps its reputation.
        rate = self.params.rate
        after = dict(before)
        for d, score in sorted(scores.items()):
            after[d] = (1 - rate) * before.get(d, self.params.initial) + rate * score
        return {str(d): r for d, r in after.items()}

    def _score(self, r: UpdateRecord, before: dict[int, float]) -> float:
        voters = (*r.positive, *r.negative)
        if self.params.source == "outcome" or not voters:
            return float(r.accepted)
        weight = {v: before.get(v, self.params.initial) for v in voters}
        total = sum(weight[v] for v in sorted(voters))
        if not total:
            return float(r.accepted)
        return sum(weight[v] for v in sorted(r.positive)) / total


def _scaled(p: Payment, reputation: float) -> list[Payment]:
    scaled = [replace(p, amount=part(p.amount, reputation))]
    if p.payer != "issuance":
        withheld = p.amount - scaled[0].amount
        scaled.append(Payment(TREASURY, withheld, "reputation.withheld", p.payer))
    return [x for x in scaled if x.amount]
