"""The deviations of the library that one device can play in a scenario."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from experiments.audits.question import Question
from experiments.loader import ScenarioError
from mechanisms.plugin import PluginError
from sim.keys import chosen_fields
from sim.settings import HONEST

ABSENT = 0.5
"""Probability with which a device that is often absent takes part in a round."""


@dataclass(frozen=True)
class Deviation:
    """What a group does: its name, and the keys that make it, but for its size."""

    name: str
    keys: Mapping[str, Any]


@dataclass(frozen=True)
class Library:
    """Deviations that can be played, and by name why others cannot."""

    playable: tuple[Deviation, ...]
    refused: Mapping[str, str]


def library(question: Question) -> Library:
    """Return every behaviour in every role of the scenario's groups, each with its first example.

    Beside them stands a device that is often absent.
    """
    playable, refused = [], {}
    for deviation in _known(question):
        try:
            question.variant(count=1, **deviation.keys)
        except (ScenarioError, PluginError) as error:
            refused[deviation.name] = str(error)
        else:
            playable.append(deviation)
    return Library(tuple(playable), refused)


def _known(question: Question) -> Iterator[Deviation]:
    marks = {role: mark for role, mark in chosen_fields(question.group).items() if mark.role}
    for role, mark in marks.items():
        for name in mark.registry.names():
            if name == HONEST:
                continue
            keys: dict[str, Any] = {role: name}
            example = mark.registry.get(name).examples[0]
            if example:
                keys[mark.params] = dict(example)
            # Several roles may have a behaviour of the same name.
            called = name if len(marks) == 1 else f"{name} ({role})"
            yield Deviation(called, keys)
    yield Deviation("often absent", {"presence": ABSENT})
