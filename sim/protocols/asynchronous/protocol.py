"""Asynchronous federated learning as a protocol: what it declares, and what is in flight."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from sim.agenda import Agenda, Event
from sim.charts import Chart
from sim.protocol import Outcome, Table
from sim.protocols.asynchronous.settings import AsynchronousScenario
from sim.recording import INTEGER, NUMBER, Column, Columns
from sim.scenario import Scenario
from sim.training import declared, tables
from sim.training.protocol import ServedProtocol

if TYPE_CHECKING:
    from sim.kernel import Kernel


class Asynchronous(ServedProtocol):
    """Every device trains at its own speed; the server never waits for the slow ones.

    A device trains from the newest model that it finds, which others have replaced by the time its
    update arrives. A round ends with the next model of the server; who is under way stays so.
    """

    name = "asynchronous"
    summary = "devices train at their own speed, and a server weighs updates by their staleness"
    reference = "Xie et al. 2019, arXiv:1903.03934 (FedAsync); Nguyen et al. 2022, arXiv:2106.06639"
    Scenario: ClassVar[type[Scenario]] = AsynchronousScenario
    tables: ClassVar[Mapping[str, Table | Columns]] = {
        **ServedProtocol.tables,
        "rounds": {
            **tables.ROUNDS,
            "staleness": Column(NUMBER, "mean of the updates that were used; null: none was"),
            "under_way": Column(INTEGER, "devices that are training when the round ends"),
        },
        "participants": {
            **tables.PARTICIPANTS,
            "staleness": Column(INTEGER, "models made since its update began; null: it sent none"),
        },
    }
    outcomes: ClassVar[Mapping[str, Outcome]] = {
        **declared.OUTCOMES,
        "staleness": Outcome("rounds", "avg(staleness)", "mean staleness of used updates, models"),
    }
    charts: ClassVar[tuple[Chart, ...]] = (
        Chart(
            "staleness",
            "Staleness of updates",
            "How many models the server made while the updates that it used were trained, mean of "
            "each round.",
            "rounds",
            "round",
            "staleness",
            y_label="models",
        ),
    )

    def __init__(self, kernel: Kernel) -> None:
        super().__init__(kernel)
        self.under_way = Agenda()

    def play_round(self) -> None:
        from sim.protocols.asynchronous.round import AsynchronousRound

        scenario = self.game.scenario
        assert isinstance(scenario, AsynchronousScenario)
        AsynchronousRound(self.game, self.chain, scenario.mixing, self.under_way).play()

    def state(self) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        values, arrays = super().state()
        return {**values, "under_way": self.under_way.to_state()}, arrays

    def restore(self, state: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> None:
        super().restore(state, arrays)
        self.under_way = Agenda(Event(*event) for event in state["under_way"])

    @classmethod
    def example(cls) -> dict[str, Any]:
        speeds = {"compute": "lognormal", "compute_sigma": 1.0}
        return super().example() | {
            "payout": {"mechanism": "flat"},
            "mixing": {"buffer": 2},
            "network": speeds,
        }
