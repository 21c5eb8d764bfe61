"""Churners, and whitewashers that return under another identity."""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from typing import Any

from sim.population.groups import Membership
from sim.streams import Streams


class Identities:
    """Which identities are in play.

    The spares of a group wait; each takes the place of a member that has lost its standing.

    A member that has lost its standing leaves for ever; the spare belongs to the same operator.
    """

    def __init__(self, groups: Sequence[Membership], streams: Streams) -> None:
        self._groups, self._streams = groups, streams
        self.waiting = {m.group: list(m.spares) for m in groups if m.spares}
        self.away = {device for spares in self.waiting.values() for device in spares}

    def in_play(self, device: int) -> bool:
        """Return whether a participant exists for the others at present."""
        return device not in self.away

    def present(self, device: int, round: int) -> bool:
        """Return whether a participant in play chooses to take part in a round.

        Availability is checked elsewhere.
        """
        if device in self.away:
            return False
        membership = self._groups[device]
        if membership.presence >= 1 or not membership.active(round):
            return True
        draw = self._streams.rng("presence", device, round).random()
        return bool(draw < membership.presence)

    def replace(self, fallen: Container[int]) -> list[tuple[int, int]]:
        """Let spares replace members that lost their standing; return who left and who came."""
        replaced = []
        for group, spares in self.waiting.items():
            for device, membership in enumerate(self._groups):
                if membership.group != group or device in self.away or not spares:
                    continue
                if device in fallen:
                    newcomer = spares.pop(0)
                    self.away.add(device)
                    self.away.discard(newcomer)
                    replaced.append((device, newcomer))
        return replaced

    def to_state(self) -> dict[str, Any]:
        """Return JSON values at a round boundary."""
        return {"waiting": self.waiting, "away": sorted(self.away)}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Continue from `to_state`."""
        self.waiting, self.away = dict(state["waiting"]), set(state["away"])
