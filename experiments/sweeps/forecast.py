"""Estimate how long a sweep will still take, from the runs that have ended."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping


class Forecast:
    """Estimates the seconds left: serial time of the remaining runs divided by the parallelism.

    A run is expected to take as long as other runs of its cell, those of earlier calls included,
    else as long as the average run. The parallelism is measured: seconds of runs that ended over
    the seconds since the first of them began.
    """

    def __init__(
        self,
        todo: Mapping[str, int],
        known: Iterable[tuple[int, float]] = (),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`todo`: cell by run id. `known`: (cell, seconds) of runs that ended before."""
        self._todo = dict(todo)
        self._remaining: dict[int, int] = defaultdict(int)
        for cell in self._todo.values():
            self._remaining[cell] += 1
        self._seconds: dict[int, list[float]] = defaultdict(lambda: [0.0, 0])
        for cell, wall_s in known:
            self._learn(cell, wall_s)
        self._clock = clock
        self._began = float("inf")
        self._busy_s = 0.0

    def ended(self, run_id: str, wall_s: float) -> None:
        """Record a run that ended; a failed one (`wall_s` 0) is over, and its time is not used."""
        cell = self._todo.pop(run_id)
        self._remaining[cell] -= 1
        self._busy_s += wall_s
        self._began = min(self._began, self._clock() - wall_s)
        if wall_s > 0:
            self._learn(cell, wall_s)

    def _learn(self, cell: int, wall_s: float) -> None:
        self._seconds[cell][0] += wall_s
        self._seconds[cell][1] += 1

    def left_s(self) -> float | None:
        """Return the seconds left; None as long as no run of known duration has ended."""
        if not self._todo:
            return 0.0
        total = sum(seconds for seconds, _ in self._seconds.values())
        count = sum(runs for _, runs in self._seconds.values())
        if not self._busy_s or not count:
            return None
        work = 0.0
        for cell, runs in self._remaining.items():
            seconds, known = self._seconds.get(cell, (0.0, 0))
            work += runs * (seconds / known if known else total / count)
        passed = self._clock() - self._began
        return work * passed / self._busy_s
