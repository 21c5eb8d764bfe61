"""A run while it is played: what `on_start` and `on_round` are given to read."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from experiments.progress import Progress
from experiments.rundir import RunError
from experiments.runresult import nullable
from sim.scenario import Scenario

if TYPE_CHECKING:
    import pandas as pd

    from sim.world import World


@dataclass(frozen=True)
class Watching:
    """What is called while a run is played, and what is shown of it."""

    on_start: Watcher | None = None
    on_round: Watcher | None = None
    progress: Progress = None


class RunView:
    """A run as it stands between two rounds, to be read.

    It is a window and no copy: after the next round it shows that one. Nothing that it returns
    changes the run.
    """

    def __init__(self, world: World) -> None:
        self._world = world

    def __repr__(self) -> str:
        name, seed = self.scenario.name, self.scenario.seed
        return f"RunView({name}, seed {seed}: round {self.round_index} of {self.scenario.rounds})"

    @property
    def scenario(self) -> Scenario:
        """What is played."""
        return self._world.kernel.scenario

    @property
    def round_index(self) -> int:
        """Number of the last round that was played, 0 before the first."""
        return self._world.round_index

    @property
    def time_s(self) -> float:
        """Simulated seconds since the start."""
        return self._world.kernel.clock.time_s

    @property
    def last(self) -> dict[str, Any]:
        """The row of table `rounds` of the last round, by column; empty before the first.

        For example `view.last["accuracy"]`, in runs that train models.
        """
        columns = self._world.kernel.recorder.columns("rounds")
        return {name: values[-1] for name, values in columns.items() if values}

    @property
    def balances(self) -> dict[int, int]:
        """Base units that each device holds, by its number."""
        treasury = self._world.kernel.treasury
        return {p.device: treasury.balance(p.device) for p in self._world.kernel.population}

    def table(self, name: str) -> pd.DataFrame:
        """Return all rows of a table so far, as `RunResult.table` will have them.

        Raises `RunError` for a table that the run does not record.
        """
        kernel = self._world.kernel
        try:
            return kernel.table(name).to_pandas(types_mapper=nullable)
        except KeyError:
            known = ", ".join(sorted(kernel.tables()))
            raise RunError(f"this run records no table {name!r}; it records {known}") from None

    @property
    def world(self) -> World:
        """The Mesa model behind it, for what is not here: changing it changes the run."""
        return self._world


Watcher = Callable[[RunView], object]
"""What `on_start` and `on_round` are; what it returns is not used."""
