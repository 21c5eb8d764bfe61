"""A role rule draws the roles of one round."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

from mechanisms.plugin import Plugin
from mechanisms.vocabulary import Role, RoleObservation


class RoleRule(Plugin, ABC):
    """Assigns exactly one role to every eligible device."""

    @abstractmethod
    def minimum(self) -> tuple[int, int, int]:
        """Return the fewest workers, validators and miners that the rule can draw."""

    def enough(self, eligible: Sequence[int]) -> list[int]:
        """Return the eligible devices as a list; raises ValueError if fewer than the minimum."""
        if len(eligible) < sum(self.minimum()):
            raise ValueError(
                f"{sum(self.minimum())} roles to fill but only {len(eligible)} devices may play"
            )
        return list(eligible)

    @abstractmethod
    def assign(self, seen: RoleObservation) -> dict[int, Role]:
        """Return a role for each device of `seen.eligible`; raises ValueError if too few."""
