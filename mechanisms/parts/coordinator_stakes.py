"""Stakes and bonds of a coordinated round."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from mechanisms.deposits import TREASURY, Deposits, destroy
from mechanisms.parts.base import Part
from mechanisms.plugin import param
from mechanisms.split import loss, part
from mechanisms.vocabulary import BlockObservation, Memory, OpeningObservation, Payment, Settlement

STAKES, BONDS = "escrow:coordinator-stakes", "escrow:bonds"


class CoordinatorStakes(Part):
    """Slashes broken commitments, bonds of wrong aggregators, and deposits of false challengers."""

    name = "coordinator-stakes"
    summary = "stake to join, forfeits for broken commitments, bonds of aggregators, challenges"
    reference = (
        "guide on on-chain coordination: contract skeleton, commit-reveal, slashing, aggregator "
        "bond"
    )
    observes = frozenset({"votes", "conduct"})
    examples = ({}, {"bond": 0, "destination": "treasury", "absence": 1.0, "challenger_share": 1.0})

    @dataclass(frozen=True)
    class Params:
        stake: int = param(
            1_000_000,
            help="deposit to join: one token of 10^6 base units",
            unit="base units",
            ge=0,
            le=10**15,
        )
        minimum: int = param(
            1,
            help="devices with a smaller stake are not eligible",
            unit="base units",
            ge=0,
            le=10**15,
        )
        slash: float = param(
            0.5,
            help="part of the remaining stake lost for an update that is not genuine, or for none",
            ge=0,
            le=1,
        )
        forfeit: float = param(
            1.0,
            help="part of the remaining stake lost for a missing or mismatched reveal",
            ge=0,
            le=1,
        )
        destination: str = param(
            "burn",
            help="payee of lost stakes; reporters: committee members that voted against",
            choices=("burn", "treasury", "reporters"),
        )
        bond: int = param(
            2_000_000,
            help="deposit of an aggregator; with less than half of it a device is not eligible",
            unit="base units",
            ge=0,
            le=10**15,
        )
        absence: float = param(
            0.25, help="part of the bond lost by an aggregator that delivers nothing", ge=0, le=1
        )
        challenger_share: float = param(
            0.5,
            help="part of a lost bond that the challenger gets; the rest goes to the destination",
            ge=0,
            le=1,
        )
        challenge_deposit: int = param(
            100_000,
            help="paid from the stake of a false challenger to the aggregator",
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
        return {STAKES: 0, BONDS: 0, TREASURY: 0}

    def open(self, seen: OpeningObservation) -> Settlement:
        stakes, bonds = Deposits(STAKES), Deposits(BONDS)
        payments = stakes.lock(seen, self.params.stake)
        left = {
            d: has - self.params.stake
            for d, has in zip(seen.devices, seen.balances, strict=True)
            if d in stakes.held
        }
        payments += bonds.lock(OpeningObservation.of(left), self.params.bond, "bond.join")
        return Settlement(tuple(payments), _remember(stakes, bonds))

    def members(self, memory: Memory) -> frozenset[int] | None:
        least = min(self.params.minimum, self.params.stake)
        return frozenset(int(d) for d, held in memory["stakes"].items() if held >= least)

    def aggregators(self, memory: Memory) -> frozenset[int] | None:
        return frozenset(
            int(d) for d, held in memory["bonds"].items() if 2 * held >= self.params.bond
        )

    def locked(self, memory: Memory) -> Mapping[int, int]:
        stakes, bonds = Deposits(STAKES, memory["stakes"]), Deposits(BONDS, memory["bonds"])
        return {d: held + bonds[d] for d, held in stakes.held.items()}

    def settle(self, seen: BlockObservation, payments: tuple[Payment, ...]) -> Settlement:
        p, own, conduct = self.params, list(payments), seen.conduct
        stakes = Deposits(STAKES, seen.memory["stakes"])
        bonds = Deposits(BONDS, seen.memory["bonds"])
        # Workers: rejected, malformed and unrevealed updates.
        for r in seen.records:
            if not r.accepted:
                lost = loss(stakes[r.worker], p.slash)
                own += destroy(stakes, r.worker, lost, p.destination, r.negative, "slash")
        for device in sorted(conduct.malformed):
            lost = loss(stakes[device], p.slash)
            own += destroy(stakes, device, lost, p.destination, (), "slash")
        for device in sorted(conduct.unrevealed):
            lost = loss(stakes[device], p.forfeit)
            own += destroy(stakes, device, lost, p.destination, (), "forfeit")
        # The aggregator, and those that disputed a right aggregate.
        if conduct.aggregator is not None and conduct.fault:
            own += self._lose_bond(bonds, conduct.aggregator, conduct.fault, conduct.challenger)
        if conduct.false_challengers:
            payee = "burn" if conduct.aggregator is None else conduct.aggregator
            for device in sorted(conduct.false_challengers):
                own += stakes.take(device, p.challenge_deposit, payee, "challenge.lost")
        return Settlement(tuple(own), _remember(stakes, bonds))

    def _lose_bond(
        self, bonds: Deposits, aggregator: int, fault: str, challenger: int | None
    ) -> list[Payment]:
        p, held = self.params, bonds[aggregator]
        where = "burn" if p.destination == "reporters" else p.destination
        if fault == "absent":
            return bonds.take(aggregator, part(held, p.absence), where, "bond.absent")
        if challenger is None:
            return bonds.take(aggregator, held, where, "bond.lost")
        share = part(held, p.challenger_share)
        payments = bonds.take(aggregator, share, challenger, "challenge.won")
        return payments + bonds.take(aggregator, held - share, where, "bond.lost")

    def close(self, memory: Memory, payments: tuple[Payment, ...]) -> Settlement:
        stakes, bonds = Deposits(STAKES, memory["stakes"]), Deposits(BONDS, memory["bonds"])
        return Settlement((*payments, *stakes.release(), *bonds.release("bond.back")))


def _remember(stakes: Deposits, bonds: Deposits) -> dict[str, dict[str, int]]:
    return {"stakes": stakes.to_memory(), "bonds": bonds.to_memory()}
