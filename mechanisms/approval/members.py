"""Members approve by their number: m of n, or a share of all."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

from mechanisms.approval.base import ApprovalRule
from mechanisms.plugin import param
from mechanisms.vocabulary import ApprovalObservation


class MOfN(ApprovalRule):
    """A version is approved by `needed` members; 1: any member alone, as the grant has it."""

    name = "m-of-n"
    summary = "a fixed number of members approve a version"
    reference = "DecentralML grant (seed 000), collectiveApprovesModel; pallet multisig"
    examples = (
        {},
        {"needed": 1, "decided": "median"},
        {"needed": 3, "share": 0.5, "of": "initial"},
    )

    @dataclass(frozen=True)
    class Params(ApprovalRule.Params):
        needed: int = param(2, help="members that must approve", ge=1, le=10_000)

    params: Params

    def approves(self, seen: ApprovalObservation) -> bool:
        return len(seen.approving) >= self.params.needed


class Majority(ApprovalRule):
    """A version is approved by more than a share of all members, those that are away included."""

    name = "majority"
    summary = "more than a share of all members approve a version"
    reference = "DecentralML grant (seed 000): governed by collective consensus"
    examples = ({}, {"above": 0.66, "decided": "median", "of": "initial"})

    @dataclass(frozen=True)
    class Params(ApprovalRule.Params):
        above: float = param(0.5, help="share of the members that must be exceeded", ge=0, lt=1)

    params: Params

    def approves(self, seen: ApprovalObservation) -> bool:
        return len(seen.approving) > Fraction(repr(self.params.above)) * len(seen.members)
