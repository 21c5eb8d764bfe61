"""The kernel: scenario, random streams, clock, money, participants, recorded tables.

The kernel knows no protocol, no role, no block and no model.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import mesa
import pyarrow as pa

from sim.clock import Clock
from sim.money.treasury import Treasury
from sim.population.population import Population
from sim.population.utility import Stakes
from sim.recording import History, Incidents, Recorder, Table
from sim.scenario import Scenario
from sim.streams import Streams

JOURNAL, PLAYS = "journal", "plays of learners"
"""Names of records beside the tables."""


class Kernel:
    """The services that a protocol is built on.

    Args:
        scenario: everything that decides the run.
        model: the Mesa model in which participants are registered.
        tables: what is recorded, core tables included.
        data: folder of data files; None: the default one.
    """

    def __init__(
        self,
        scenario: Scenario,
        model: mesa.Model,
        tables: Mapping[str, Table],
        data: str | Path | None = None,
    ) -> None:
        self.scenario = scenario
        self.data = data
        self.streams = Streams(scenario.seed)
        self.clock = Clock()
        self.treasury = Treasury(scenario.payout.asset, self.clock)
        self.recorder = Recorder({n: t for n, t in tables.items() if n != JOURNAL})
        self.incidents = Incidents(self.recorder, self.clock)
        self.population = Population(model, scenario, self.streams, self.clock)

    @property
    def last_round(self) -> bool:
        """Whether the present round is the last one of the run."""
        return self.clock.round == self.scenario.rounds

    def begin_round(self) -> None:
        """Begin the next round: incomes count from here, and rational participants choose."""
        self.clock.round += 1
        self.treasury.begin_round()
        self.population.learners.choose(self.clock.round)

    def end_round(self) -> None:
        """Make columns of all that the round has written."""
        self.recorder.end_round()
        self.treasury.end_round()

    # --- records ------------------------------------------------------------------------------

    def record_round(self, start_s: float, own: Mapping[str, Any] | None = None) -> None:
        """Add the row of the round, which ends now; `own` are the protocol's own columns."""
        issued, burned = self.treasury.issued_and_burned()
        row = {
            "round": self.clock.round,
            "start_s": start_s,
            "end_s": self.clock.time_s,
            "duration_s": self.clock.time_s - start_s,
            "issued": issued,
            "burned": burned,
        }
        self.recorder.add("rounds", [row | dict(own or {})])

    def record_participants(
        self,
        online: Collection[int],
        stakes: Stakes,
        own: Mapping[int, Mapping[str, Any]] | None = None,
    ) -> dict[int, float]:
        """Add a row for each participant, and return by device what the round is worth to it.

        Args:
            online: who was there at the round's start.
            stakes: what the round means for each beside its income.
            own: the protocol's own columns by device.
        """
        incomes = self.treasury.incomes()
        utilities = {}
        rows = []
        for p in self.population:
            income = incomes.get(p.account, 0)
            utilities[p.device] = stakes.utility(p.device, income)
            row = {
                "round": self.clock.round,
                "device": p.device,
                "group": p.group,
                "adversary": p.adversary,
                "role": p.role.value if p.role else None,
                "strategy": p.strategy,
                "online": p.device in online,
                "income": income,
                "cost": sum(stakes.costs_of(p.device)),
                "benefit": stakes.benefit.get(p.device, 0.0),
                "utility": utilities[p.device],
                "balance": self.treasury.balance(p.device),
                "locked": stakes.locked.get(p.device, 0),
            }
            rows.append(row | dict(own[p.device]) if own else row)
        self.recorder.add("participants", rows)
        return utilities

    def table(self, name: str) -> pa.Table:
        """Return what a table has recorded so far; KeyError for one that is not recorded."""
        return self.treasury.journal() if name == JOURNAL else self.recorder.table(name)

    def tables(self) -> dict[str, pa.Table]:
        """Return everything recorded so far, the journal included."""
        return {**self.recorder.tables(), JOURNAL: self.treasury.journal()}

    # --- checkpoints --------------------------------------------------------------------------

    def to_state(self) -> dict[str, Any]:
        """Return JSON values at a round boundary; what only grows is in `history`.

        Random streams have no state: they are keyed by identity.
        """
        return {
            "round": self.clock.round,
            "time_s": self.clock.time_s,
            "treasury": self.treasury.to_state(),
            "population": self.population.to_state(),
        }

    def history(self, after: Mapping[str, int]) -> dict[str, History]:
        """Return by record what was added after its mark: tables, journal, plays of learners."""
        return {
            **self.recorder.history(after),
            JOURNAL: self.treasury.history(after.get(JOURNAL, 0)),
            PLAYS: self.population.learners.history(after.get(PLAYS, 0)),
        }

    def restore(self, state: Mapping[str, Any], history: Mapping[str, Sequence[Any]]) -> None:
        """Continue from `to_state` and all rows of `history`; the scenario must be the same."""
        self.clock.restore(state["round"], state["time_s"])
        self.treasury.restore(state["treasury"], history.get(JOURNAL, ()))
        self.population.restore(state["population"], history.get(PLAYS, ()))
        self.recorder.restore(history)
