"""A collective economy as a protocol: what it declares, and the stages of its round."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from sim import scenario as scenarios
from sim.charts import Chart
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

    Contributors train and are paid; what is left of the pools goes back to the creator at the end.
    """

    name = "collective"
    summary = "a creator's pools pay those who train, improve and use one model"
    reference = "DecentralML grant (seed 000)"
    Scenario: ClassVar[type[scenarios.Scenario]] = CollectiveScenario
    tables: ClassVar[Mapping[str, Table | Columns]] = {
        **TrainingProtocol.tables,
        "participants": {**training.PARTICIPANTS, **declared.PARTICIPANTS},
        "pools": declared.POOLS,
    }
    outcomes: ClassVar[Mapping[str, Outcome]] = declared.OUTCOMES
    charts: ClassVar[tuple[Chart, ...]] = declared.CHARTS
    tape = None

    def build(self, kernel: Kernel) -> TrainingGame:
        from sim.chain.forks import ServerChain
        from sim.network import Links
        from sim.protocols.collective.funding import Funded, Purse
        from sim.training.game import TrainingGame

        scenario = kernel.scenario
        assert isinstance(scenario, CollectiveScenario)
        links = Links(scenario.network, scenario.devices, kernel.streams)
        game = TrainingGame(kernel, scenario, links, ServerChain)
        game.require_members(1)
        funded = scenario.base_rule()
        assert isinstance(funded, Funded)
        self.scenario = scenario
        self.purse = Purse(kernel.treasury, funded)
        self._left = self.purse.left(game.locked())
        return game

    def play_round(self) -> None:
        """Play the stages of a round, and record it."""
        from sim.chain.forks import ServerChain
        from sim.training.averaging import AveragingRound

        game, forks = self.game, self.game.forks
        assert isinstance(forks, ServerChain)

        # Contributors train and are paid.
        averaging = AveragingRound(game, forks, self.scenario.deadlines.validator_s)
        averaging.contribute()
        game.settle(averaging.clock.last_s)

        # What is left goes back after the last round.
        self._record_pools()
        game.finish()
        if self.kernel.last_round:
            self.purse.refund(to=self.scenario.creator, round=self.kernel.clock.round + 1)
        averaging.record(device_own=self._columns())

    def _record_pools(self) -> None:
        """Record what is left of each pool."""
        left = self.purse.left(self.game.locked())
        rows = [
            {
                "round": self.kernel.clock.round,
                "pool": party,
                "remaining": amount,
                "spent": self._left[party] - amount,
            }
            for party, amount in left.items()
        ]
        self.kernel.recorder.add("pools", rows)
        self._left = left

    def _columns(self) -> dict[int, dict[str, Any]]:
        """Return the protocol's own columns of `participants` by device."""
        return {p.device: {"party": self.scenario.party(p.device)} for p in self.kernel.population}

    # --- checkpoints --------------------------------------------------------------------------

    def state(self) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        values, arrays = super().state()
        return {**values, "left": self._left}, arrays

    def restore(self, state: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> None:
        super().restore(state, arrays)
        self._left = dict(state["left"])

    @classmethod
    def example(cls) -> dict[str, Any]:
        """Return a run of a small model on generated data, with every party."""
        parties = {"contributors": 7}
        return {**super().example(), "parties": parties}
