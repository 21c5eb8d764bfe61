"""A collective economy as a protocol: what it declares, and the stages of its round."""

from __future__ import annotations

from collections import Counter
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
from sim.training.protocol import TrainingProtocol

if TYPE_CHECKING:
    from sim.kernel import Kernel
    from sim.training.game import TrainingGame


class Collective(TrainingProtocol):
    """DecentralML's economy: a creator stakes pools, and parties earn them with its model.

    Contributors train it in rounds, engineers submit versions that members approve, clients buy
    licences; what is left of the pools goes back to the creator at the end.
    """

    name = "collective"
    summary = "a creator's pools pay those who train, improve and use one model"
    reference = "DecentralML grant (seed 000)"
    Scenario: ClassVar[type[scenarios.Scenario]] = CollectiveScenario
    tables: ClassVar[Mapping[str, Table | Columns]] = {
        **TrainingProtocol.tables,
        "rounds": {**training.ROUNDS, **declared.ROUNDS},
        "participants": {**training.PARTICIPANTS, **declared.PARTICIPANTS},
        **declared.OWN,
    }
    outcomes: ClassVar[Mapping[str, Outcome]] = declared.OUTCOMES
    notes: ClassVar[tuple[Declaration, ...]] = declared.NOTES
    charts: ClassVar[tuple[Chart, ...]] = declared.CHARTS
    tape = None

    def build(self, kernel: Kernel) -> TrainingGame:
        from sim.chain.forks import ServerChain
        from sim.network import Links
        from sim.protocols.collective.annotating import Annotating
        from sim.protocols.collective.economy import Economy
        from sim.protocols.collective.governing import referenda_of
        from sim.protocols.collective.selling import Selling
        from sim.referenda import Referenda
        from sim.training.game import TrainingGame

        scenario = kernel.scenario
        assert isinstance(scenario, CollectiveScenario)
        kernel.treasury.open({}, Referenda.accounts())
        links = Links(scenario.network, scenario.devices, kernel.streams)
        game = TrainingGame(kernel, scenario, links, ServerChain)
        game.require_members(1)
        self.economy = Economy(game, scenario)
        self.annotating = Annotating(self.economy)
        self.selling = Selling(self.economy)
        self.referenda = referenda_of(self.economy)
        game.holders.append(self.referenda.locked)
        return game

    def play_round(self) -> None:
        """Play the stages of a round, and record it."""
        from sim.protocols.collective.approving import Approving
        from sim.protocols.collective.engineering import Engineering
        from sim.training.averaging import AveragingRound

        game, economy, scenario = self.game, self.economy, self.economy.scenario

        # What referenda have decided by now is put in force.
        self.referenda.advance(game.clock.time_s)

        # Contributors train and are paid.
        averaging = AveragingRound(game, economy.chain, scenario.deadlines.validator_s)
        averaging.contribute()
        game.settle(averaging.clock.last_s)

        # Annotators label public samples.
        self.annotating.play()

        # Engineers submit versions, and members approve them.
        candidates = Engineering(economy, averaging.server).play()
        approving = Approving(economy, averaging.server)
        approving.play(candidates)

        # Clients buy licences.
        benefit = self.selling.play()

        # Everybody proposes, and votes.
        self.referenda.hold(game.online_at(game.clock.time_s))
        if self.kernel.last_round:
            self.referenda.close()
        for table, rows in self.referenda.rows().items():
            self.kernel.recorder.add(table, rows)
        worth = Counter(self.referenda.benefits())
        worth.update(benefit)

        # What is left of the pools goes back.
        self._record_pools()
        if 0 < scenario.pools.expires <= self.kernel.clock.round:
            economy.purse.expire()
        game.finish()
        if self.kernel.last_round:
            economy.purse.refund(self.kernel.clock.round + 1)
        own = {
            "submitted": len(candidates),
            "approved": approving.approved,
            "members": len(economy.members),
            **self.annotating.round_columns(),
        }
        effort = self.annotating.desk.costs()
        averaging.record(own, self._columns(), worth, effort)

    def _record_pools(self) -> None:
        """Record what is left of each pool."""
        left = self.economy.purse.left(self.game.locked_by_rule())
        rows = [
            {
                "round": self.kernel.clock.round,
                "pool": party,
                "remaining": amount,
                "spent": self.economy.left[party] - amount,
            }
            for party, amount in left.items()
        ]
        self.kernel.recorder.add("pools", rows)
        self.economy.left = left

    def _columns(self) -> dict[int, dict[str, Any]]:
        """Return the protocol's own columns of `participants` by device."""
        parties, members = self.economy.scenario.parties.devices, self.economy.members
        return {
            device: {
                "party": party,
                "member": device in members,
                **self.annotating.columns(device),
            }
            for party, devices in parties.items()
            for device in devices
        }

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
