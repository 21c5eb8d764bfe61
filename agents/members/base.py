"""A member's behaviour decides which versions it approves, and what they should be paid."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

from mechanisms.plugin import Plugin
from mechanisms.vocabulary import MemberObservation, MemberVote


class Member(Plugin, ABC):
    """Base of members of a collective."""

    tests: ClassVar[bool] = True
    """Whether it runs the version on its test samples, which costs it computing time."""

    @abstractmethod
    def vote(self, seen: MemberObservation) -> MemberVote:
        """Return whether the version may replace the master model, and its author's share."""
