"""Licences on trust, with audits."""

from __future__ import annotations

from dataclasses import dataclass

from mechanisms.licensing.base import LicensingRule
from mechanisms.plugin import param
from mechanisms.split import loss
from mechanisms.vocabulary import LicenceObservation


class Audited(LicensingRule):
    """Every offer gets the licence; some clients are audited, and who paid less is fined.

    The fine is a multiple of the fee that was saved. With audit probability a and a fine of F times
    of what was saved, paying nothing costs a F fee on average: it pays while a F < 1.
    """

    name = "audited"
    summary = "every offer gets the licence; an audit fines who paid less than the fee"
    reference = "DecentralML grant (seed 000) on trust; Becker 1968, crime and punishment: a F"
    stochastic = True
    examples = ({}, {"probability": 1.0, "fine": 1.0}, {"probability": 0.0})

    @dataclass(frozen=True)
    class Params:
        probability: float = param(0.2, help="probability of an audit", ge=0, le=1)
        fine: float = param(
            4.0, help="fine, in units of what was saved of the fee; rounded up", ge=0, le=1e6
        )

    params: Params

    def licenses(self, fee: int, offer: int) -> bool:
        return True

    def audits(self, seen: LicenceObservation) -> bool:
        return bool(seen.rng.random() < self.params.probability)

    def audit_probability(self) -> float:
        return self.params.probability

    def fine(self, fee: int, offer: int) -> int:
        return loss(max(0, fee - offer), self.params.fine)
