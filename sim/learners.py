"""Rational devices: what each plays, and what it has paid."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from mechanisms.vocabulary import ChoiceObservation, Role
from sim.groups import Membership
from sim.streams import Streams

if TYPE_CHECKING:
    from sim.world import World

Play = tuple[int, float]
"""(strategy, utility) of a round in which a device was a worker."""


class Learners:
    """Choices are made before every round in which the group deviates."""

    def __init__(self, groups: Sequence[Membership], streams: Streams) -> None:
        self._groups, self._streams = groups, streams
        self._members: dict[str, list[int]] = {}
        for device, m in enumerate(groups):
            if m.strategies:
                self._members.setdefault(m.group, []).append(device)
        self.choice: dict[int, int] = {d: 0 for members in self._members.values() for d in members}
        self.plays: dict[int, list[Play]] = {d: [] for d in self.choice}

    def choose(self, round: int) -> None:
        """Let everybody choose at once, on what was known before."""
        if not self.choice:
            return
        chosen = {}
        for members in self._members.values():
            for i, device in enumerate(members):
                m = self._groups[device]
                if not m.active(round):
                    continue
                others = [d for d in members if d != device]
                seen = ChoiceObservation(
                    round=round,
                    device=device,
                    index=i,
                    strategies=tuple(b.name for b in m.strategies),
                    own=tuple(self.plays[device]),
                    peers=tuple(self.plays[d][-1] for d in others if self.plays[d]),
                    history=tuple(play for d in others for play in self.plays[d]),
                    rng=self._streams.rng("learner", device, round),
                )
                choice = int(m.learner.choose(seen))
                if not 0 <= choice < len(m.strategies):
                    raise ValueError(
                        f"{m.learner!r} chose strategy {choice}, there are 0..{len(m.strategies) - 1}"
                    )
                chosen[device] = choice
        self.choice |= chosen

    def observe(self, world: World) -> None:
        """After a round: note the utility of every one that was a worker in it."""
        if not self.choice:
            return
        utilities, online = (
            world.recorder.tail("participants", c, len(world.participants))
            for c in ("utility", "online")
        )
        for device, choice in self.choice.items():
            p = world.participants[device]
            if p.role is Role.WORKER and p.active and online[device]:
                self.plays[device].append((choice, utilities[device]))

    def to_state(self) -> dict[str, Any]:
        """JSON-able state at a round boundary."""
        return {
            "choice": {str(d): c for d, c in self.choice.items()},
            "plays": {str(d): p for d, p in self.plays.items()},
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Continue from `to_state`."""
        self.choice = {int(d): c for d, c in state["choice"].items()}
        self.plays = {int(d): [(c, u) for c, u in plays] for d, plays in state["plays"].items()}
