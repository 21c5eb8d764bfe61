"""DecentralML's pool: a creator's deposit, and scores that each pay a part of the remainder."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from mechanisms.payouts.base import PayoutRule
from mechanisms.plugin import PluginError, param
from mechanisms.split import part
from mechanisms.vocabulary import BlockObservation, Memory, OpeningObservation, Payment, Settlement

CREATOR, POOL, ENGINEERS, ANNOTATORS = (
    "creator",
    "escrow:contributors",
    "escrow:engineers",
    "escrow:annotators",
)


class Decentralml(PayoutRule):
    """`rewardDataContributors(ids, scores)`: pays s * remaining pool in turn, or s * pool each.

    With one score s the k-th contributor of a sequential call gets s (1 - s)^(k - 1) of the pool.
    Contributors are paid in the order of their numbers, for accepted updates only.
    """

    name = "decentralml"
    summary = "a creator's pool that pays each contributor a part of what is left"
    reference = "DecentralML grant (seed 000): defineDataContributors, rewardDataContributors"
    observes = frozenset({"utility"})
    anonymous = False
    examples = (
        {},
        {"mode": "snapshot", "score": 0.4},
        {"improve_only": False, "score": 0.5, "expires": 9, "whitelist": [1, 4]},
    )

    @dataclass(frozen=True)
    class Params:
        pool: int = param(
            100_000, help="deposit of the creator", unit="base units", ge=0, le=10**15
        )
        contributors: float = param(
            1.0, help="part of the deposit for data contributors", ge=0, le=1
        )
        engineers: float = param(0.0, help="part for model engineers", ge=0, le=1)
        annotators: float = param(0.0, help="part for annotators; the three sum to 1", ge=0, le=1)
        score: float = param(
            0.02,
            help="part of the remaining pool for an update whose accuracy improves the model",
            ge=0,
            le=1,
        )
        mode: str = param(
            "sequential",
            help="the pool shrinks with every payment, or is taken as it was before the block",
            choices=("sequential", "snapshot"),
        )
        improve_only: bool = param(
            True, help="an update is paid only if it improves accuracy on the held-out samples"
        )
        expires: int = param(
            0,
            help="round after which the remainder returns to the creator; 0: never",
            unit="rounds",
            ge=0,
        )
        whitelist: tuple[int, ...] = param(
            (),
            help="devices that the creator defines as contributors; none given: all",
            ge=0,
            devices=True,
        )

        def __post_init__(self) -> None:
            total = self.contributors + self.engineers + self.annotators
            if abs(total - 1) > 1e-9:
                raise PluginError(
                    f"contributors + engineers + annotators must be 1, not {total:g}",
                    "contributors",
                    self.contributors,
                )

    params: Params

    def accounts(self) -> Mapping[str, int]:
        return {CREATOR: self.params.pool, POOL: 0, ENGINEERS: 0, ANNOTATORS: 0}

    def open(self, seen: OpeningObservation) -> Settlement:
        p = self.params
        engineers, annotators = part(p.pool, p.engineers), part(p.pool, p.annotators)
        deposits = {
            ENGINEERS: engineers,
            ANNOTATORS: annotators,
            POOL: p.pool - engineers - annotators,
        }
        if p.whitelist and max(p.whitelist) > max(seen.devices, default=-1) >= 0:
            raise PluginError(
                f"device {max(p.whitelist)} does not exist", "whitelist", max(p.whitelist)
            )
        payments = [
            Payment(account, amount, "pool.funded", CREATOR)
            for account, amount in deposits.items()
            if amount
        ]
        return Settlement(
            tuple(payments), {"left": deposits[POOL], "others": [engineers, annotators]}
        )

    def settle(self, seen: BlockObservation) -> Settlement:
        p, left = self.params, int(seen.memory["left"])
        if p.expires and seen.round > p.expires:
            return self._refund(seen.memory)
        accepted = sorted((r.worker, i) for i, r in enumerate(seen.records) if r.accepted)
        if p.whitelist:
            accepted = [(worker, i) for worker, i in accepted if worker in p.whitelist]
        gains = self._gains(seen, [i for _, i in accepted])
        payments = []
        pool = left
        for (worker, _), gain in zip(accepted, gains, strict=True):
            if p.improve_only and gain <= 0:
                continue
            base = left if p.mode == "sequential" else pool
            amount = min(left, part(base, p.score))
            left -= amount
            if amount:
                payments.append(Payment(worker, amount, "reward.contributor", POOL))
        return Settlement(tuple(payments), {**seen.memory, "left": left})

    def _gains(self, seen: BlockObservation, rows: list[int]) -> list[float]:
        if not self.params.improve_only or not rows:
            return [0.0] * len(rows)
        alone = np.zeros((len(rows) + 1, len(seen.records)), dtype=np.bool_)
        alone[range(len(rows)), rows] = True
        *values, before = seen.utility(alone)
        return [float(v - before) for v in values]

    def close(self, memory: Memory) -> Settlement:
        return self._refund(memory)

    def _refund(self, memory: Memory) -> Settlement:
        engineers, annotators = memory["others"]
        back = {POOL: int(memory["left"]), ENGINEERS: engineers, ANNOTATORS: annotators}
        payments = tuple(
            Payment(CREATOR, amount, "pool.refund", account)
            for account, amount in back.items()
            if amount
        )
        return Settlement(payments, {"left": 0, "others": [0, 0]})
