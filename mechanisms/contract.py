"""What payout rules and parts have in common: accounts, deposits, and a say in who takes part."""

from __future__ import annotations

from abc import ABC
from collections.abc import Mapping
from typing import ClassVar

from mechanisms.plugin import Plugin
from mechanisms.vocabulary import Memory, OpeningObservation, Settlement


class Contract(Plugin, ABC):
    """`observes` says what the chain must show it: see `BlockObservation`. Nothing else is handed over."""

    observes: ClassVar[frozenset[str]] = frozenset()
    anonymous: ClassVar[bool] = True
    """Whether renaming devices only renames payments."""

    def accounts(self) -> Mapping[str, int]:
        """Accounts that it needs beside those of devices, with the base units that each is given at the start."""
        return {}

    def open(self, seen: OpeningObservation) -> Settlement:
        """Before the first round: fund pools, take stakes. Who cannot pay its stake is simply not a member."""
        return Settlement()

    def members(self, memory: Memory) -> frozenset[int] | None:
        """Devices that may be drawn for a role; None: all."""
        return None

    def aggregators(self, memory: Memory) -> frozenset[int] | None:
        """Members that may be drawn as aggregator (`protocol = "coordinator"`); None: all."""
        return None

    def locked(self, memory: Memory) -> Mapping[int, int]:
        """Base units that it holds for each device: stakes and deposits that may come back."""
        return {}
