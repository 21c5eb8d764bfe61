"""The guide's coordinator: stake, commit, reveal, verification, payment."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass

from mechanisms.combined import Combined
from mechanisms.parts.coordinator_stakes import CoordinatorStakes
from mechanisms.payouts.shares import Shares
from mechanisms.plugin import param
from mechanisms.vocabulary import BlockObservation, Payment, Settlement, UpdateRecord


class Inclusion(Shares):
    """Shares a pot among workers whose updates are in the aggregate; the aggregator gets a fee."""

    observes = frozenset({"claims"})

    @dataclass(frozen=True)
    class Params(Shares.Params):
        pot: int = param(
            1_000_000,
            help="newly issued per round for the included workers",
            unit="base units",
            ge=0,
            le=10**15,
        )
        by: str = param(
            "equal",
            help="shares of the included: equal, or by claimed samples",
            choices=("equal", "samples"),
        )
        fee: int = param(
            50_000,
            help="to the aggregator of a round that is finalised",
            unit="base units",
            ge=0,
            le=10**15,
        )

    params: Params

    def most_issued(self, devices: int) -> int:
        return self.params.pot + self.params.fee

    def weights(self, seen: BlockObservation, accepted: list[UpdateRecord]) -> Mapping[int, float]:
        if self.params.by == "samples":
            return {r.worker: r.claimed_samples for r in accepted}
        return {r.worker: 1 for r in accepted}

    def settle(self, seen: BlockObservation) -> Settlement:
        settled = super().settle(seen)
        included = any(r.accepted for r in seen.records)
        if seen.miner is None or not self.params.fee or not included:
            return settled
        fee = Payment(seen.miner, self.params.fee, "reward.aggregator")
        return Settlement((*settled.payments, fee), settled.memory)


class Coordinator(Combined):
    """A pot for the included workers, with the part `coordinator-stakes` around it.

    Needs `protocol = "coordinator"`.
    """

    name = "coordinator"
    summary = (
        "on-chain coordinator: stake to join, commit and reveal, slashing, a bonded aggregator, a "
        "pot for the included"
    )
    reference = "guide on on-chain coordination (seed 003)"
    examples = ({}, {"by": "samples", "slash": 1.0, "destination": "reporters", "minimum": 10})

    @dataclass(frozen=True)
    class Params(CoordinatorStakes.Params, Inclusion.Params):
        """Parameters of the pot, then those of stakes and bonds."""

    params: Params

    def __init__(self, params: Params | None = None) -> None:
        params = params or self.Params()
        own = asdict(params)
        inclusion = Inclusion.Params(**{name: own.pop(name) for name in asdict(Inclusion.Params())})
        super().__init__(
            Inclusion(inclusion), (CoordinatorStakes(CoordinatorStakes.Params(**own)),)
        )
        self.params = params
