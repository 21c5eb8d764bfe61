"""Who belongs to which group of adversaries, when it deviates, and how its members behave."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from agents.registries import learners
from mechanisms.plugin import Plugin
from sim.keys import chosen_fields
from sim.settings import HONEST, Group, RationalGroup, Settings
from sim.streams import Streams

Behaviours = Mapping[str, Plugin]
"""By role of the protocol the behaviour in it."""


@dataclass(frozen=True)
class Membership:
    """A group and its behaviour in each role; outside its rounds its members are honest.

    `spares` are members that wait for the place of another. `strategies` are what a member may
    choose among, each for one or more roles. `settings` are the group's keys in the scenario, None
    for the honest.
    """

    group: str
    behaviours: Behaviours
    settings: Group | None = None
    spares: tuple[int, ...] = ()
    strategies: tuple[Behaviours, ...] = ()
    learner: Any = None
    presence: float = field(init=False, default=1.0)

    def __post_init__(self) -> None:
        if self.settings is not None:
            object.__setattr__(self, "presence", self.settings.presence)

    def active(self, round: int) -> bool:
        """Return whether the group deviates in a round."""
        if self.settings is None:
            return True
        first, last = self.settings.from_round, self.settings.until_round
        return first <= round and (last == 0 or round <= last)


def roles_of(group: type[Group]) -> tuple[str, ...]:
    """Return the roles in which a protocol's groups have a behaviour, the first one first."""
    return tuple(name for name, mark in chosen_fields(group).items() if mark.role)


def honest(group: type[Group]) -> Membership:
    """Return the membership of every participant that is in no group."""
    marks = chosen_fields(group)
    return Membership(HONEST, {r: marks[r].registry.create(HONEST) for r in roles_of(group)})


def draw_groups(
    groups: Sequence[Group],
    kind: type[Group],
    devices: int,
    streams: Streams,
    drawn_from: Callable[[Any], Sequence[int]],
) -> list[Membership]:
    """Return the membership of every participant: as named, or drawn by the run's seed.

    `drawn_from` returns the participants among whom the members of a group may be drawn.
    """
    named = {device for group in groups for device in group.devices}
    free = [device for device in range(devices) if device not in named]
    order = streams.rng("adversaries").permutation(free).tolist()
    assigned = [honest(kind)] * devices
    for group in groups:
        among = {*drawn_from(group)}
        possible = [device for device in order if device in among]
        members = sorted(group.devices or possible[: group.count])
        taken = set(members)
        order = [device for device in order if device not in taken]
        membership = _membership(group, members)
        for device in members:
            assigned[device] = membership
    return assigned


def _membership(group: Group, members: Sequence[int]) -> Membership:
    """Return what all members of a group have in common."""
    spares: int = getattr(group, "spares", 0)
    tables: Sequence[Settings] = getattr(group, "strategies", ())
    strategies = tuple(_behaviours(table) for table in tables)
    return Membership(
        group.name,
        _behaviours(group),
        group,
        tuple(members[len(members) - spares :]),
        strategies,
        _learner(group),
    )


def _behaviours(table: Settings) -> dict[str, Plugin]:
    """Return the behaviours that a group or a strategy names, by role."""
    marks = chosen_fields(type(table))
    behaviours = {}
    for role, mark in marks.items():
        if mark.role:
            params = getattr(table, mark.params)
            behaviours[role] = mark.registry.create(getattr(table, role), params)
    return behaviours


def _learner(group: Group) -> Any:
    """Return how members choose among strategies; None in a game without any."""
    if not isinstance(group, RationalGroup):
        return None
    return learners.create(group.learner, group.learner_params)


def coalitions(groups: Sequence[Membership]) -> list[frozenset[int]]:
    """Return for every participant the members of its adversary group, nobody for an honest one."""
    members: dict[str, set[int]] = {HONEST: set()}
    for device, membership in enumerate(groups):
        # The honest do not conspire: their coalition stays empty.
        if membership.group != HONEST:
            members.setdefault(membership.group, set()).add(device)
    # Members share one set: a population may be large.
    frozen = {group: frozenset(devices) for group, devices in members.items()}
    return [frozen[membership.group] for membership in groups]
