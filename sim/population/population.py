"""All participants of a run, with their groups, identities and learners."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import mesa

from sim.clock import Clock
from sim.population.groups import coalitions, draw_groups, honest
from sim.population.identities import Identities
from sim.population.learners import Learners
from sim.population.participant import Participant
from sim.scenario import Scenario
from sim.settings import Group
from sim.streams import Streams


class Population:
    """Participants by device.

    `groups` and `coalitions` have an entry for each: its membership, and its fellow members.
    """

    def __init__(
        self, model: mesa.Model, scenario: Scenario, streams: Streams, clock: Clock
    ) -> None:
        kind = group_class(scenario)
        self._clock = clock
        self.groups = draw_groups(
            scenario.adversaries, kind, scenario.devices, streams, scenario.drawn_from
        )
        self.coalitions = coalitions(self.groups)
        self.identities = Identities(self.groups, streams)
        self.learners = Learners(self.groups, streams)
        in_no_group = honest(kind)
        self._participants = [
            Participant(model, device, membership, in_no_group, clock, self.learners)
            for device, membership in enumerate(self.groups)
        ]

    def __len__(self) -> int:
        return len(self._participants)

    def __iter__(self) -> Iterator[Participant]:
        return iter(self._participants)

    def __getitem__(self, device: int) -> Participant:
        return self._participants[device]

    def present(self, device: int) -> bool:
        """Return whether a participant is in play and chooses to take part in the present round."""
        return self.identities.present(device, self._clock.round)

    def to_state(self) -> dict[str, Any]:
        """Return JSON values at a round boundary."""
        return {"identities": self.identities.to_state(), "learners": self.learners.to_state()}

    def restore(self, state: Mapping[str, Any], plays: Iterable[tuple[int, int, float]]) -> None:
        """Continue from `to_state`, and all plays of the learners."""
        self.identities.restore(state["identities"])
        self.learners.restore(state["learners"], plays)


def group_class(scenario: Scenario) -> type[Group]:
    """Return the class of a protocol's groups of adversaries."""
    entries, *_ = type(scenario).model_fields["adversaries"].annotation.__args__  # type: ignore[union-attr]
    return entries
