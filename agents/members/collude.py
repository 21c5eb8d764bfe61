"""Members that drain the pool together with an engineer."""

from __future__ import annotations

from dataclasses import dataclass

from agents.members.base import Member
from mechanisms.plugin import param
from mechanisms.vocabulary import MemberObservation, MemberVote


class Collude(Member):
    """Approves whatever an engineer of its own group, or `author`, submits, for a large share.

    It approves nothing else: what other engineers are paid is lost to the coalition.
    """

    name = "collude"
    summary = "approves every version of its own group, and no other"
    reference = "DecentralML grant (seed 000): a coalition of as many members as must approve"
    tests = False

    @dataclass(frozen=True)
    class Params:
        share: float = param(1.0, help="part of the pool that it proposes", ge=0, le=1)
        author: int = param(
            -1,
            help="an engineer of another group with whom it colludes; -1: nobody",
            ge=-1,
            devices=True,
        )

    params: Params

    def vote(self, seen: MemberObservation) -> MemberVote:
        own = seen.author in seen.coalition or seen.author == self.params.author
        return MemberVote(own, self.params.share)
