"""A voter's behaviour decides how it votes, what it sells its ballot for, and which it buys."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar

from mechanisms.plugin import Plugin
from mechanisms.vocabulary import Ballot, CaptureObservation, Purchase, VoterObservation


class Voter(Plugin, ABC):
    """Base of voters. `knows` names what is shown beside its own: see the observation."""

    sees = VoterObservation
    knows: ClassVar[frozenset[str]] = frozenset()
    sells: ClassVar[bool] = False
    """Whether its ballot is for sale."""
    buys: ClassVar[bool] = False
    """Whether it buys ballots of others."""

    @abstractmethod
    def vote(self, seen: VoterObservation) -> Ballot | None:
        """Return its ballot; None: it abstains."""

    def told(self, seen: VoterObservation, approves: bool) -> Ballot:
        """Return the ballot that it would cast for a buyer."""
        return Ballot(approves, seen.stake)

    def price(self, seen: VoterObservation, told: Ballot) -> int:
        """Return the base units for which it casts a ballot as told, if it sells."""
        return 0

    def buy(self, seen: CaptureObservation) -> Sequence[Purchase]:
        """Return the ballots that it buys now: of `seen.asks`, for at most `seen.balance`."""
        return ()
