"""Clients that pay less than the fee."""

from __future__ import annotations

from dataclasses import dataclass

from agents.clients.honest import Honest
from mechanisms.plugin import param
from mechanisms.vocabulary import ClientObservation


class Underpay(Honest):
    """Pays a part of the fee with some probability, whatever the rule; else it pays the fee."""

    name = "underpay"
    summary = "pays a part of the fee, sometimes or always"
    reference = "DecentralML grant (seed 000): an element of trust (getMasterModels)"
    stochastic = True

    @dataclass(frozen=True)
    class Params:
        probability: float = param(1.0, help="probability of paying less", ge=0, le=1)
        pays: float = param(0.0, help="part of the fee that it pays then", ge=0, lt=1)

    params: Params

    def offer(self, seen: ClientObservation) -> int | None:
        if seen.rng.random() >= self.params.probability:
            return super().offer(seen)
        paid = int(self.params.pays * seen.fee)
        worth = seen.value >= paid and seen.balance >= paid
        return paid if worth else None


class Calculating(Honest):
    """Pays the fee or nothing, whichever costs less on average, and neither if not worth it.

    At equal cost it pays the fee: a fine that just deters is enough.
    """

    name = "calculating"
    summary = "pays nothing where that is cheaper on average than the fee"
    reference = "Becker 1968, crime and punishment: audit probability times fine against the fee"
    knows = frozenset({"terms"})

    def offer(self, seen: ClientObservation) -> int | None:
        cost = min(seen.terms(0), seen.terms(seen.fee))
        paid = seen.fee if seen.terms(seen.fee) <= cost else 0
        worth = seen.value >= cost and seen.balance >= paid
        return paid if worth else None
