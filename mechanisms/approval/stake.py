"""Members approve by what they hold."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

from mechanisms.approval.base import ApprovalRule
from mechanisms.plugin import param
from mechanisms.vocabulary import ApprovalObservation


class StakeMajority(ApprovalRule):
    """A version is approved by members that hold more than a share of what all members hold.

    A base unit is added to each, so that members without money can approve.
    """

    name = "stake-majority"
    summary = "members approve a version by what they hold"
    reference = "guide on on-chain coordination (seed 003): sybil resistance by stake weighting"
    observes = frozenset({"stakes"})
    examples = ({}, {"above": 0.2, "decided": "median"})

    @dataclass(frozen=True)
    class Params(ApprovalRule.Params):
        above: float = param(0.5, help="share of the stakes that must be exceeded", ge=0, lt=1)

    params: Params

    def approves(self, seen: ApprovalObservation) -> bool:
        held = {m: stake + 1 for m, stake in zip(seen.members, seen.stakes, strict=True)}
        above = Fraction(repr(self.params.above))
        return sum(held[m] for m in seen.approving) > above * sum(held.values())
