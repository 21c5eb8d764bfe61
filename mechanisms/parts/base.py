"""A part stands around a payout rule: it may hold deposits, refuse devices, and change what the rule sees and pays."""

from __future__ import annotations

from abc import ABC
from collections.abc import Mapping
from typing import ClassVar

from mechanisms.plugin import Plugin
from mechanisms.vocabulary import BlockObservation, Memory, OpeningObservation, Payment, Settlement


class Part(Plugin, ABC):
    """Every method has a default that changes nothing. `observes` is as for payout rules.

    `seen.memory` is the part's own memory.
    """

    observes: ClassVar[frozenset[str]] = frozenset()
    anonymous: ClassVar[bool] = True

    def accounts(self) -> Mapping[str, int]:
        """Accounts that it needs, with the base units that each is given at the start."""
        return {}

    def open(self, seen: OpeningObservation) -> Settlement:
        """Before the first round."""
        return Settlement()

    def members(self, memory: Memory) -> frozenset[int] | None:
        """Devices that may be drawn for a role; None: all."""
        return None

    def aggregators(self, memory: Memory) -> frozenset[int] | None:
        """Members that may be drawn as aggregator (`protocol = "coordinator"`); None: all."""
        return None

    def locked(self, memory: Memory) -> Mapping[int, int]:
        """Base units that it holds for each device."""
        return {}

    def rejects(self, seen: BlockObservation) -> frozenset[int]:
        """Workers whose updates count as rejected for the parts after it and for the rule."""
        return frozenset()

    def settle(self, seen: BlockObservation, payments: tuple[Payment, ...]) -> Settlement:
        """All payments of the block: those decided so far, kept, changed or left out, and its own."""
        return Settlement(payments)

    def close(self, memory: Memory, payments: tuple[Payment, ...]) -> Settlement:
        """After the last round: all payments decided so far, kept or changed, and what is still held given back."""
        return Settlement(payments)
