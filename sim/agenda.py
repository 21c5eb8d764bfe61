"""An agenda: who acts when, as plain records, so that a checkpoint at any moment is exact.

For games with things in flight beyond a round, and for 10^5 events a second: no generator each.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator
from functools import partial
from typing import NamedTuple

INF = float("inf")


class Event(NamedTuple):
    """What is to happen: when, for whom (-1: for nobody), and what; in this order they happen."""

    time_s: float
    device: int
    what: str = ""


_event = partial(tuple.__new__, Event)
"""Makes an event of a tuple of all its values, in a third of the time that `Event` takes."""


class Agenda:
    """Events in order of time; of equal times that of the lower device comes first."""

    def __init__(self, events: Iterable[Event] = ()) -> None:
        self._heap = [Event(*event) for event in events]
        heapq.heapify(self._heap)

    def __len__(self) -> int:
        return len(self._heap)

    def __iter__(self) -> Iterator[Event]:
        """Yield all events, in no particular order."""
        return iter(self._heap)

    @property
    def next_s(self) -> float:
        """When the next event is, inf without any."""
        return self._heap[0][0] if self._heap else INF

    def add(self, time_s: float, device: int, what: str = "") -> None:
        """Put an event in its place."""
        heapq.heappush(self._heap, _event((time_s, device, what)))

    def pop(self) -> Event:
        """Take the next event; raises IndexError where there is none."""
        return heapq.heappop(self._heap)

    def clear(self) -> None:
        """Drop everything that is left."""
        self._heap.clear()

    def to_state(self) -> list[list[float | int | str]]:
        """Return JSON values."""
        return [list(event) for event in sorted(self._heap)]
