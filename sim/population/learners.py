"""Rational participants: which strategy each plays, and what it has earned with it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from mechanisms import answers
from mechanisms.vocabulary import ChoiceObservation
from sim.population.groups import Membership
from sim.recording import History
from sim.streams import Streams

Play = tuple[int, float]
"""(strategy, utility in base units) of a round in which a participant played it."""


class Learners:
    """Strategies are chosen before every round in which the group deviates."""

    def __init__(self, groups: Sequence[Membership], streams: Streams) -> None:
        self._groups, self._streams = groups, streams
        self._members: dict[str, list[int]] = {}
        for device, membership in enumerate(groups):
            if membership.strategies:
                self._members.setdefault(membership.group, []).append(device)
        rational = [device for members in self._members.values() for device in members]
        self.choice: dict[int, int] = dict.fromkeys(rational, 0)
        self.plays: dict[int, list[Play]] = {device: [] for device in rational}
        self._log: list[tuple[int, int, float]] = []
        """(device, strategy, utility) of every play of everybody."""

    def choose(self, round: int) -> None:
        """Let all learners choose at once, from earlier rounds only."""
        chosen = {}
        for members in self._members.values():
            for index, device in enumerate(members):
                membership = self._groups[device]
                if not membership.active(round):
                    continue
                seen = self._observation(round, device, index, members)
                learner, strategies = membership.learner, len(membership.strategies)
                choice = learner.choose(seen)
                chosen[device] = answers.choice(learner, choice, strategies, seen.who)
        self.choice |= chosen

    def _observation(
        self, round: int, device: int, index: int, members: Sequence[int]
    ) -> ChoiceObservation:
        """Return what a participant sees before it chooses."""
        others = [other for other in members if other != device]
        # A strategy is named after its behaviour in the first role.
        strategies = self._groups[device].strategies
        names = tuple(next(iter(s.values())).name for s in strategies)
        peers: list[Play] = []
        history: list[Play] = []
        for other in others:
            plays = self.plays[other]
            peers += plays[-1:]
            history += plays
        return ChoiceObservation(
            round=round,
            device=device,
            index=index,
            strategies=names,
            own=tuple(self.plays[device]),
            peers=tuple(peers),
            history=tuple(history),
            rng=self._streams.rng("learner", device, round),
        )

    def observe(self, utilities: Mapping[int, float]) -> None:
        """Record the utility of those that played their strategy in a round."""
        for device, choice in self.choice.items():
            if device in utilities:
                self._add(device, choice, utilities[device])

    def _add(self, device: int, choice: int, utility: float) -> None:
        self.plays[device].append((choice, utility))
        self._log.append((device, choice, utility))

    def to_state(self) -> dict[str, Any]:
        """Return JSON values at a round boundary; the plays are in `history`."""
        return {"choice": {str(device): choice for device, choice in self.choice.items()}}

    def history(self, after: int) -> History:
        """Return the plays of everybody after a mark."""
        return History(self._log[after:], len(self._log))

    def restore(self, state: Mapping[str, Any], plays: Iterable[tuple[int, int, float]]) -> None:
        """Continue from `to_state` and all plays of `history`."""
        self.choice = {int(device): choice for device, choice in state["choice"].items()}
        for device, choice, utility in plays:
            self._add(device, choice, utility)
