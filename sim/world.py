"""The world: a kernel and a protocol in a Mesa model; one `step` is one round."""

from __future__ import annotations

import atexit
import gc
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import mesa
import numpy as np

from mechanisms.failures import told
from sim.kernel import Kernel
from sim.keys import SettingError
from sim.protocol import Protocol, protocols
from sim.scenario import Scenario
from sim.settings import MOST_SECONDS

PROTOCOL = "protocol"
"""Name of the record that a protocol keeps of itself."""


class World(mesa.Model):
    """A kernel and a protocol as a Mesa model.

    `scenario` decides everything that happens; wall time, threads and process count decide nothing.

    Raises `SettingError` for a scenario that nobody could play, `DataError` for data that are not
    there, and `PluginFailedError` for what a plug-in raises, here and in every round.
    """

    def __init__(self, scenario: Scenario, data: str | Path | None = None) -> None:
        super().__init__(rng=scenario.seed % 2**32)
        _set_aside_imports()
        game: type[Protocol] = protocols.get(scenario.protocol)  # type: ignore[assignment]
        with told(round=0):
            self.kernel = Kernel(scenario, self, game.recorded(scenario), data)
            self.protocol = game(self.kernel)
        self.origin = ""
        """The checkpoint that it goes on from."""

    @property
    def round_index(self) -> int:
        """Number of the last round that was played, 0 before the first."""
        return self.kernel.clock.round

    def step(self) -> None:
        """Play one round; what is in flight afterwards is in the state of the protocol."""
        with told(self.round_index + 1), _no_cyclic_gc():
            self.kernel.begin_round()
            self.protocol.play()
            self.kernel.end_round()
        self._check_time()

    def run(self) -> Iterator[int]:
        """Play the remaining rounds, yielding the number of each one finished."""
        while self.round_index < self.kernel.scenario.rounds:
            self.step()
            if self.kernel.last_round:
                with told(self.round_index):
                    self.protocol.close()
            yield self.round_index

    def _check_time(self) -> None:
        """Raise `SettingError` when more simulated time has passed than a run may have."""
        clock = self.kernel.clock
        if clock.time_s <= MOST_SECONDS:
            return
        expected = (
            f"at most {clock.round - 1}: round {clock.round} ends {clock.time_s:.3g} s after the "
            f"start, and a run may last {MOST_SECONDS:.0e} simulated seconds (31 years); play "
            "fewer rounds, or make them shorter"
        )
        raise SettingError("rounds", self.kernel.scenario.rounds, expected)

    def close(self) -> None:
        """Drop what Mesa keeps: every model ever built stays alive in `Agent._ids` (Mesa 3.x)."""
        self.remove_all_agents()
        ids = getattr(mesa.Agent, "_ids", None)
        if ids is not None:
            ids.pop(self, None)

    # --- checkpoints --------------------------------------------------------------------------

    def to_state(
        self, after: Mapping[str, int] | None = None
    ) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        """Return JSON values and arrays at a round boundary.

        `history` holds by record what was added after the marks `after` (default: everything);
        `marks` are those for the next time.
        """
        marks = dict(after or {})
        own, arrays = self.protocol.state()
        records = {
            **self.kernel.history(marks),
            PROTOCOL: self.protocol.history(marks.get(PROTOCOL, 0)),
        }
        state = {
            "kernel": self.kernel.to_state(),
            "protocol": own,
            "history": {name: record.rows for name, record in records.items() if record.rows},
            "marks": {name: record.mark for name, record in records.items()},
        }
        return state, arrays

    def restore(self, state: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> None:
        """Continue from `to_state` with its whole history.

        The world must have been built from the same scenario.
        """
        history = state["history"]
        self.kernel.restore(state["kernel"], history)
        own = {"history": history.get(PROTOCOL, []), **state["protocol"]}
        self.protocol.restore(own, arrays)


@cache
def _set_aside_imports() -> None:
    """Let the cyclic garbage collector never again look at what is there: once in a process.

    Imported modules are 10^5 objects and more that live as long as the process does.
    """
    gc.freeze()
    # Extensions that look for leaks at the end want to see their objects go.
    atexit.register(gc.unfreeze)


@contextmanager
def _no_cyclic_gc() -> Iterator[None]:
    """Pause the cyclic garbage collector.

    A round makes many small objects and few cycles: collecting in its middle costs half of a large
    round's time.
    """
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()
