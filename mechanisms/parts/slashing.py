"""A stake to join, and the loss of it for rejected updates and wrong votes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from mechanisms.deposits import TREASURY, Deposits, destroy
from mechanisms.parts.base import Part
from mechanisms.plugin import param
from mechanisms.split import loss
from mechanisms.vocabulary import BlockObservation, Memory, OpeningObservation, Payment, Settlement

STAKES = "escrow:slashable"


class Slashing(Part):
    """Takes a part of the remaining stake for a rejected update, or a vote against the outcome.

    "reporters": shared equally among those that voted against the update, or against the voter; the
    remainder is burned.
    """

    name = "slashing"
    summary = "a stake at risk: rejected updates, and wrong votes if asked, cost a part of it"
    reference = (
        "guide on on-chain coordination, staking and slashing; Casper: Buterin and Griffith 2017, "
        "arXiv:1710.09437"
    )
    observes = frozenset({"votes"})
    levers = ("stake",)
    examples = (
        {},
        {"fraction": 1.0, "vote_fraction": 0.5, "destination": "reporters", "minimum": 5_000},
    )

    @dataclass(frozen=True)
    class Params:
        stake: int = param(
            10_000,
            help="deposit to join; a device without it at the start is not eligible",
            unit="base units",
            ge=0,
            le=10**15,
        )
        fraction: float = param(
            0.25, help="part of the remaining stake that a rejected update costs", ge=0, le=1
        )
        vote_fraction: float = param(
            0.0,
            help="part of the remaining stake that a vote against the outcome costs",
            ge=0,
            le=1,
        )
        destination: str = param(
            "burn", help="payee of lost stakes", choices=("burn", "treasury", "reporters")
        )
        minimum: int = param(
            1,
            help="devices with a smaller stake are not eligible; 1: those that lost it all",
            unit="base units",
            ge=0,
            le=10**15,
        )

        def __post_init__(self) -> None:
            if self.minimum > max(1, self.stake):
                raise ValueError(
                    f"minimum = {self.minimum} is more than the stake of {self.stake}: nobody "
                    "would be eligible"
                )

    params: Params

    def accounts(self) -> Mapping[str, int]:
        return {STAKES: 0, TREASURY: 0}

    def open(self, seen: OpeningObservation) -> Settlement:
        stakes = Deposits(STAKES)
        payments = stakes.lock(seen, self.params.stake)
        return Settlement(tuple(payments), stakes.to_memory())

    def members(self, memory: Memory) -> frozenset[int] | None:
        least = min(self.params.minimum, self.params.stake)
        return frozenset(int(d) for d, held in memory.items() if held >= least)

    def locked(self, memory: Memory) -> Mapping[int, int]:
        return Deposits(STAKES, memory).held

    def settle(self, seen: BlockObservation, payments: tuple[Payment, ...]) -> Settlement:
        p, stakes, own = self.params, Deposits(STAKES, seen.memory), list(payments)
        for r in seen.records:
            if not r.accepted:
                lost = loss(stakes[r.worker], p.fraction)
                own += destroy(stakes, r.worker, lost, p.destination, r.negative, "slash")
        wrong: dict[int, list[tuple[int, ...]]] = {}
        for r in seen.records:
            witnesses, voters = (r.positive, r.negative) if r.accepted else (r.negative, r.positive)
            for v in voters:
                wrong.setdefault(v, []).append(witnesses)
        for v, cases in wrong.items():
            # All cases of a block weigh the same in any order: none depends on what others took.
            each = min(loss(stakes[v], p.vote_fraction), stakes[v] // len(cases))
            for witnesses in cases:
                own += destroy(stakes, v, each, p.destination, witnesses, "slash.vote")
        return Settlement(tuple(own), stakes.to_memory())

    def close(self, memory: Memory, payments: tuple[Payment, ...]) -> Settlement:
        return Settlement((*payments, *Deposits(STAKES, memory).release()))
