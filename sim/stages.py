"""A SimPy environment for one round, with the few patterns that the rounds of protocols use."""

from __future__ import annotations

from collections.abc import Callable, Generator
from heapq import heappush
from math import isfinite
from typing import Any

import simpy
from simpy.events import NORMAL

Process = Generator[simpy.Event, Any, None]


class _Environment(simpy.Environment):
    """SimPy's environment with events at absolute times.

    SimPy knows delays only, and `now + (time - now)` can be a bit before `time`: whoever waits for
    a deadline would find it not yet reached.
    """

    def at(self, time_s: float) -> simpy.Event:
        """Return an event that happens at a time, not before the present one."""
        event = simpy.Event(self)
        event._ok, event._value = True, None  # as `simpy.Timeout` does
        heappush(self._queue, (max(time_s, self._now), NORMAL, next(self._eid), event))
        return event


class Stages:
    """Simulated seconds of one round, and what is pending in each of its stages.

    A stage ends when its last process or callback is done; deadlines that nobody waits for any more
    do not keep it open. The environment lives for one round and is run until its queue is empty, so
    that nothing survives into the next one.

    All times are absolute and none is computed twice: whoever waited for a time finds `now` equal
    to it, so that comparisons with deadlines are exact.
    """

    def __init__(self, start_s: float) -> None:
        self.start_s = start_s
        self.last_s = start_s
        self._env = _Environment(initial_time=start_s)
        self._open: dict[str, int] = {}
        self._idle: dict[str, simpy.Event] = {}
        self._failed: BaseException | None = None
        self._running = False

    @property
    def now(self) -> float:
        """Simulated seconds since the start of the run."""
        return float(self._env.now)

    def until(self, time_s: float) -> simpy.Event:
        """Return an event at a time (now, when that is past).

        Raises `ValueError` for a time that never comes: waiting for ever is a mistake in a
        protocol.
        """
        if not isfinite(time_s):
            raise ValueError(f"cannot wait until {time_s} s: nothing ever happens then")
        return self._env.at(time_s)

    def event(self) -> simpy.Event:
        """Return an event that somebody makes happen."""
        return self._env.event()

    def stage(self, name: str) -> simpy.Event:
        """Return the event that fires when a stage has no pending work.

        Schedule something in the stage before waiting for it.
        """
        return self._idle.setdefault(name, self._env.event())

    def act(self) -> None:
        """Note that something happened now: a round ends with the last thing that happened."""
        self.last_s = self.now

    def start(self, stage: str, process: Process) -> None:
        """Run a process as part of a stage."""
        self._enter(stage)

        def whole() -> Process:
            try:
                yield from process
            except BaseException as error:
                # SimPy raises a copy that it makes of the arguments: not every error allows that.
                # Processes that nobody waits for any more are closed after the run.
                if self._running:
                    self._failed = error
                raise
            self._leave(stage)

        self._env.process(whole())

    def at(self, stage: str | None, time_s: float, action: Callable[..., None], *args: Any) -> None:
        """Call `action(*args)` at a time (infinity: never), as part of a stage (None: of none)."""
        if time_s == float("inf"):
            return
        self._enter(stage)

        def fire(_: simpy.Event) -> None:
            action(*args)
            self._leave(stage)

        event = self.until(time_s)
        assert event.callbacks is not None
        event.callbacks.append(fire)

    def run(self) -> None:
        """Play until nothing is pending; raise what a process raises."""
        self._running = True
        try:
            self._env.run()
        except BaseException:
            if self._failed is None:
                raise
        finally:
            self._running = False
        if self._failed is not None:
            raise self._failed

    def _enter(self, stage: str | None) -> None:
        if stage is None:
            return
        assert not self.stage(stage).triggered, f"{stage} is over"
        self._open[stage] = self._open.get(stage, 0) + 1

    def _leave(self, stage: str | None) -> None:
        if stage is None:
            return
        self._open[stage] -= 1
        if self._open[stage] == 0:
            self.stage(stage).succeed()
