"""The utility of a round: one definition for tables, learners, scorecards and games."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Stakes:
    """Locked amounts, costs and benefits of a round by device; 0 where none is given.

    `locked` and `locked_before`: base units that rules hold for it at the round's end and start.
    `costs`: base units of work that nobody is paid for, one mapping for each kind. `benefit`: base
    units that the round is worth to it otherwise.
    """

    locked: Mapping[int, int] = field(default_factory=dict)
    locked_before: Mapping[int, int] = field(default_factory=dict)
    costs: tuple[Mapping[int, float], ...] = ()
    benefit: Mapping[int, float] = field(default_factory=dict)

    def costs_of(self, device: int) -> list[float]:
        """Return the costs of each kind that a participant bears."""
        return [cost.get(device, 0.0) for cost in self.costs]

    def utility(self, device: int, income: int) -> float:
        """Return income + change of what is locked - costs + benefit, in base units."""
        change = self.locked.get(device, 0) - self.locked_before.get(device, 0)
        return utility(income, change, self.costs_of(device), self.benefit.get(device, 0.0))


def utility(income: int, locked: int, costs: Iterable[float], benefit: float) -> float:
    """Return u = income + change of what is locked - sum of costs + benefit, in base units."""
    value: float = income + locked
    for cost in costs:
        value -= cost
    return value + benefit
