"""A SimPy environment for one round, with the few patterns that the rounds of protocols use."""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Any

import simpy

Process = Generator[simpy.Event, Any, None]


class Stages:
    """Simulated seconds of one round, and what is pending in each of its stages.

    A stage ends when its last process or callback is done; deadlines that nobody waits for any more
    do not keep it open. The environment lives for one round and is run until its queue is empty, so
    that nothing survives into the next one.
    """

    def __init__(self, start_s: float) -> None:
        self.start_s = start_s
        self.last_s = start_s
        self._env = simpy.Environment(initial_time=start_s)
        self._open: dict[str, int] = {}
        self._idle: dict[str, simpy.Event] = {}

    @property
    def now(self) -> float:
        """Simulated seconds since the start of the run."""
        return float(self._env.now)

    def timeout(self, delay_s: float) -> simpy.Event:
        """Return an event after `delay_s` seconds; waiting for ever is a mistake in a protocol."""
        assert delay_s < float("inf"), "nothing arrives after an infinite delay"
        return self._env.timeout(max(0.0, delay_s))

    def until(self, time_s: float) -> simpy.Event:
        """Return an event at an absolute time (now, when that is past)."""
        return self.timeout(time_s - self.now)

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
            yield from process
            self._leave(stage)

        self._env.process(whole())

    def after(
        self, stage: str | None, delay_s: float, action: Callable[..., None], *args: Any
    ) -> None:
        """Call `action(*args)` after a delay, as part of a stage (None: of none).

        Infinite delays never happen.
        """
        if delay_s == float("inf"):
            return
        self._enter(stage)

        def fire(_: simpy.Event) -> None:
            action(*args)
            self._leave(stage)

        event = self.timeout(delay_s)
        assert event.callbacks is not None
        event.callbacks.append(fire)

    def run(self) -> None:
        """Play until nothing is pending."""
        self._env.run()

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
