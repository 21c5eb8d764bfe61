"""Devices that come and go on purpose: churners, and whitewashers that return under another identity."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from sim.groups import Membership
from sim.streams import Streams

if TYPE_CHECKING:
    from sim.world import World


class Identities:
    """Which identities are in play. A group's spares wait; each takes the place of a member that has lost its standing.

    A member has lost its standing when it is shut out, no longer admitted by the payout rule, or was slashed. It leaves for
    ever; the spare holds the same operator's samples.
    """

    def __init__(self, groups: Sequence[Membership], streams: Streams) -> None:
        self._groups, self._streams = groups, streams
        self.waiting = {m.group: list(m.spares) for m in groups if m.spares}
        self.away = {d for spares in self.waiting.values() for d in spares}

    def in_play(self, device: int) -> bool:
        """Whether a device exists for the others at present."""
        return device not in self.away

    def present(self, device: int, round: int) -> bool:
        """Whether a device in play takes part in a round, as far as it decides that itself."""
        if device in self.away:
            return False
        m = self._groups[device]
        if m.presence >= 1 or not m.active(round):
            return True
        return bool(self._streams.rng("presence", device, round).random() < m.presence)

    def replace_fallen(self, world: World) -> None:
        """After a round: let members that lost their standing leave and spares come in."""
        canonical, penalised = world.canonical(), world.penalised
        members = world.payout.members(canonical.memory)
        for group, spares in self.waiting.items():
            for device, m in enumerate(self._groups):
                if m.group != group or device in self.away or not spares:
                    continue
                if (
                    device in penalised
                    or device in canonical.blocked
                    or (members is not None and device not in members)
                ):
                    self.away.add(device)
                    self.away.discard(newcomer := spares.pop(0))
                    world.note(world.time_s, device, newcomer, "whitewashed")

    def to_state(self) -> dict[str, Any]:
        """JSON-able state at a round boundary."""
        return {"waiting": self.waiting, "away": sorted(self.away)}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Continue from `to_state`."""
        self.waiting, self.away = dict(state["waiting"]), set(state["away"])
