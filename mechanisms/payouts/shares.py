"""A pot per block, shared among the accepted workers: rules that differ only in the weights."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass

from mechanisms.payouts.base import PayoutRule
from mechanisms.plugin import param
from mechanisms.split import split
from mechanisms.vocabulary import BlockObservation, Payment, Settlement, UpdateRecord


class Shares(PayoutRule):
    """Pays floor(pot * w_i / sum w) to each accepted worker with a positive weight w_i."""

    @dataclass(frozen=True)
    class Params:
        pot: int = param(
            10_000,
            help="newly issued per block and shared; the rounding remainder is not issued",
            unit="base units",
            ge=0,
            le=10**15,
        )

    params: Params

    def most_issued(self, devices: int) -> int:
        return self.params.pot

    def settle(self, seen: BlockObservation) -> Settlement:
        weights = self.weights(seen, [r for r in seen.records if r.accepted])
        amounts = split(self.params.pot, weights)
        return Settlement(
            tuple(Payment(w, a, "reward.worker") for w, a in sorted(amounts.items()) if a),
            self.remember(seen),
        )

    @abstractmethod
    def weights(self, seen: BlockObservation, accepted: list[UpdateRecord]) -> Mapping[int, float]:
        """Return the weight of each accepted worker."""

    def remember(self, seen: BlockObservation) -> Mapping[str, object] | None:
        """Return the memory after the block; None: unchanged."""
        return None


class DataSize(Shares):
    """w = samples that the worker claims."""

    name = "data-size"
    summary = "a pot shared by the samples that workers claim"
    reference = "FedAvg's weights as payments: McMahan et al. 2017, arXiv:1602.05629"
    observes = frozenset({"claims"})

    def weights(self, seen: BlockObservation, accepted: list[UpdateRecord]) -> Mapping[int, float]:
        return {r.worker: r.claimed_samples for r in accepted}


class StakeWeighted(Shares):
    """w = base units of the worker at the round's start plus one, so that the first round pays."""

    name = "stake-weighted"
    summary = "a pot shared by what workers hold: splitting into identities gains nothing"
    reference = "guide on on-chain coordination, sybil resistance by stake weighting"
    observes = frozenset({"stakes"})

    def weights(self, seen: BlockObservation, accepted: list[UpdateRecord]) -> Mapping[int, float]:
        return {r.worker: seen.stakes[r.worker] + 1 for r in accepted}


class ReputationWeighted(Shares):
    """w = reputation <- (1 - rate) reputation + rate * [accepted], this block included."""

    name = "reputation-weighted"
    summary = "a pot shared by a moving average of past acceptance"
    reference = "guide on on-chain coordination, participant registry with persistent reputation"
    examples = ({}, {"rate": 1.0, "initial": 0.0})

    @dataclass(frozen=True)
    class Params(Shares.Params):
        initial: float = param(
            0.5, help="reputation of a device that was never a worker", ge=0, le=1
        )
        rate: float = param(
            0.2, help="weight of the newest score in the moving average", gt=0, le=1
        )

    params: Params

    def weights(self, seen: BlockObservation, accepted: list[UpdateRecord]) -> Mapping[int, float]:
        reputation = self.remember(seen)
        return {r.worker: reputation[str(r.worker)] for r in accepted}

    def remember(self, seen: BlockObservation) -> dict[str, float]:
        p = self.params
        reputation = dict(seen.memory)
        for r in seen.records:
            before = reputation.get(str(r.worker), p.initial)
            reputation[str(r.worker)] = (1 - p.rate) * before + p.rate * float(r.accepted)
        return reputation
