"""How long a sweep will still take, from the runs that have ended."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping


class Forecast:
    """Seconds left: what the runs to come would take one after the other, over how many were seen to run at a time.

    A run is expected to take as long as others of its cell, of any earlier call too, else as long as the average run. How many
    run at a time is measured: their seconds over the seconds passed since the first of them began.
    """

    def __init__(
        self,
        todo: Mapping[str, int],
        known: Iterable[tuple[int, float]] = (),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`todo`: cell by run id. `known`: (cell, seconds) of runs that ended before."""
        self._todo = dict(todo)
        self._left: dict[int, int] = defaultdict(int)
        for cell in self._todo.values():
            self._left[cell] += 1
        self._seconds: dict[int, list[float]] = defaultdict(lambda: [0.0, 0])
        for cell, wall_s in known:
            self._learn(cell, wall_s)
        self._clock, self._began, self._busy_s = clock, float("inf"), 0.0

    def ended(self, run_id: str, wall_s: float) -> None:
        """Take note of a run that ended; failed ones count as done, and teach nothing (`wall_s` 0)."""
        cell = self._todo.pop(run_id)
        self._left[cell] -= 1
        self._busy_s += wall_s
        self._began = min(self._began, self._clock() - wall_s)
        if wall_s > 0:
            self._learn(cell, wall_s)

    def _learn(self, cell: int, wall_s: float) -> None:
        self._seconds[cell][0] += wall_s
        self._seconds[cell][1] += 1

    def left_s(self) -> float | None:
        """Seconds to go; None while there is nothing to go by."""
        if not self._todo:
            return 0.0
        passed = self._clock() - self._began
        total, count = (
            (sum(column) for column in zip(*self._seconds.values(), strict=True))
            if self._seconds
            else (0.0, 0)
        )
        if not self._busy_s or not count:
            return None
        work = 0.0
        for cell, runs in self._left.items():
            seconds, known = self._seconds.get(cell, (0.0, 0))
            work += runs * (seconds / known if known else total / count)
        return work * passed / self._busy_s
