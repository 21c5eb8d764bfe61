"""Members that drain the pool together with an engineer."""

from __future__ import annotations

from dataclasses import dataclass

from agents.members.base import Member
from mechanisms.plugin import param
from mechanisms.vocabulary import MemberObservation, MemberVote


class Collude(Member):
    """Approves whatever an engineer of its own group submits, for a large share of the pool.

    It approves nothing else: what honest engineers are paid is lost to its group.
    """

    name = "collude"
    summary = "approves every version of its own group, and no other"
    reference = "DecentralML grant (seed 000): a coalition of as many members as must approve"
    tests = False

    @dataclass(frozen=True)
    class Params:
        share: float = param(1.0, help="part of the pool that it proposes", ge=0, le=1)

    params: Params

    def vote(self, seen: MemberObservation) -> MemberVote:
        return MemberVote(seen.author in seen.coalition, self.params.share)
