"""A member that goes by what it measures."""

from __future__ import annotations

from dataclasses import dataclass

from agents.members.base import Member
from mechanisms.plugin import param
from mechanisms.vocabulary import MemberObservation, MemberVote


class Honest(Member):
    """Approves a version that is more accurate than the master model on its own test samples."""

    name = "honest"
    summary = "approves what improves the accuracy that it measures"
    reference = "DecentralML grant (seed 000): rewarded for successfully improving the model"

    @dataclass(frozen=True)
    class Params:
        margin: float = param(
            0.0, help="accuracy that a version must gain to be approved, more than this", ge=0, lt=1
        )
        share: float = param(0.1, help="part of the pool that it proposes", ge=0, le=1)

    params: Params

    def vote(self, seen: MemberObservation) -> MemberVote:
        gain = seen.accuracy - seen.master_accuracy
        return MemberVote(gain > self.params.margin, self.params.share)
