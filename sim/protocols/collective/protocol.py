"""A collective economy as a protocol: what it declares, and the stages of its round."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from sim import scenario as scenarios
from sim.charts import Chart
from sim.notes import Declaration
from sim.protocol import Outcome, Table
from sim.protocols.collective import tables as declared
from sim.protocols.collective.settings import CollectiveScenario
from sim.recording import Columns
from sim.training import tables as training
from sim.training.protocol import ServedProtocol

if TYPE_CHECKING:
    from sim.kernel import Kernel
    from sim.protocols.collective.round import CollectiveRound
    from sim.training.game import TrainingGame


class Collective(ServedProtocol):
    """DecentralML's economy: a creator stakes pools, and parties earn them with its model.

    Contributors train it in rounds, engineers submit versions that members approve, clients buy
    licences; what is left of the pools goes back to the creator at the end.
    """

    name = "collective"
    summary = "a creator's pools pay those who train, improve and use one model"
    reference = "DecentralML grant (seed 000)"
    Scenario: ClassVar[type[scenarios.Scenario]] = CollectiveScenario
    tables: ClassVar[Mapping[str, Table | Columns]] = {
        **ServedProtocol.tables,
        "rounds": {**training.ROUNDS, **declared.ROUNDS},
        "participants": {**training.PARTICIPANTS, **declared.PARTICIPANTS},
        **declared.OWN,
    }
    outcomes: ClassVar[Mapping[str, Outcome]] = declared.OUTCOMES
    notes: ClassVar[tuple[Declaration, ...]] = declared.NOTES
    charts: ClassVar[tuple[Chart, ...]] = declared.CHARTS
    tape = None

    def build(self, kernel: Kernel) -> TrainingGame:
        from sim.protocols.collective.annotating import Annotating
        from sim.protocols.collective.economy import Economy
        from sim.protocols.collective.governing import referenda_of
        from sim.protocols.collective.selling import Selling
        from sim.referenda import Referenda

        scenario = kernel.scenario
        assert isinstance(scenario, CollectiveScenario)
        kernel.treasury.open({}, Referenda.accounts())
        game = super().build(kernel)
        self.economy = Economy(game, scenario)
        self.annotating = Annotating(self.economy)
        self.selling = Selling(self.economy)
        self.referenda = referenda_of(self.economy)
        game.holders.append(self.referenda.locked)
        return game

    def begin(self) -> CollectiveRound:
        """Return the present round before its first stage."""
        from sim.protocols.collective.round import CollectiveRound

        return CollectiveRound(self.economy, self.annotating, self.selling, self.referenda)

    def play_round(self) -> None:
        """Play the stages of a round, and record it."""
        now = self.begin()
        now.contribute()
        now.annotate()
        now.engineer()
        now.approve()
        now.sell()
        now.govern()
        now.finish()

    def facts(self) -> dict[str, Any]:
        """Return the id of the master model beside what every game that trains states."""
        return {**super().facts(), "master_model": self.economy.master_id}

    # --- checkpoints --------------------------------------------------------------------------

    def state(self) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        values, arrays = super().state()
        own = {"economy": self.economy.to_state(), "selling": self.selling.to_state()}
        own |= {"labels": self.annotating.to_state(), "referenda": self.referenda.to_state()}
        return {**values, **own}, arrays

    def restore(self, state: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> None:
        super().restore(state, arrays)
        self.economy.restore(state["economy"])
        self.selling.restore(state["selling"])
        self.annotating.restore(state["labels"])
        self.referenda.restore(state["referenda"])

    @classmethod
    def example(cls) -> dict[str, Any]:
        """Return a run of a small model on generated data, with every party."""
        return {
            **super().example(),
            "devices": 10,
            "parties": {"contributors": 4, "engineers": 2, "annotators": 2, "clients": 1},
            "engineers": {"public": 0.25},
            "labelling": {"tasks": 1, "questions": 4, "places": 2, "unit": 30},
            "referenda": {
                "delay_s": 0.0,
                "proposals": [{"round": 1, "changes": {"licences.fee": 900}, "worth": 1.0}],
            },
            "adversaries": [{"name": "spam", "devices": [5], "engineer": "spam"}],
        }
