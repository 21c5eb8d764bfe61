"""A member that does not test."""

from __future__ import annotations

from dataclasses import dataclass

from agents.members.base import Member
from mechanisms.plugin import param
from mechanisms.vocabulary import MemberObservation, MemberVote


class Lazy(Member):
    """Approves with a fixed probability, without running the version."""

    name = "lazy"
    summary = "approves by chance, without a test"
    reference = "VBFL's lazy validators (Chen et al. 2021), as members of a collective"
    stochastic = True
    tests = False

    @dataclass(frozen=True)
    class Params:
        approves: float = param(1.0, help="probability that it approves", ge=0, le=1)
        share: float = param(0.1, help="part of the pool that it proposes", ge=0, le=1)

    params: Params

    def vote(self, seen: MemberObservation) -> MemberVote:
        return MemberVote(bool(seen.rng.random() < self.params.approves), self.params.share)
