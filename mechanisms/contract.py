"""What payout rules and parts have in common: accounts, deposits and membership."""

from __future__ import annotations

from abc import ABC
from collections.abc import Mapping

from mechanisms.plugin import Plugin
from mechanisms.vocabulary import BlockObservation, Memory, OpeningObservation, Settlement


class Contract(Plugin, ABC):
    """Base of payout rules and parts. `observes` names what is shown: see `BlockObservation`."""

    sees = BlockObservation
    observes: frozenset[str] = frozenset()
    anonymous: bool = True
    """Whether renaming devices only renames payments."""

    def accounts(self) -> Mapping[str, int]:
        """Return the accounts needed beside those of devices, with their initial base units."""
        return {}

    def open(self, seen: OpeningObservation) -> Settlement:
        """Fund pools and take stakes before the first round.

        A device that cannot pay its stake does not become a member.
        """
        return Settlement()

    def members(self, memory: Memory) -> frozenset[int] | None:
        """Return the devices that are eligible for a role; None: all."""
        return None

    def aggregators(self, memory: Memory) -> frozenset[int] | None:
        """Return the members that are eligible as aggregator; None: all.

        Asked only under `protocol = "coordinator"`.
        """
        return None

    def locked(self, memory: Memory) -> Mapping[int, int]:
        """Return the base units held for each device: stakes and deposits that may return."""
        return {}
