"""Federated averaging as a protocol: its keys, what it declares, and its round."""

from __future__ import annotations

from typing import Any, ClassVar

from pydantic import Field

from sim.scenario import Scenario
from sim.training.protocol import ServedProtocol
from sim.training.scenario import TrainingScenario
from sim.training.settings import ServerDeadlineSettings


class FedavgScenario(TrainingScenario):
    """A run of federated averaging."""

    deadlines: ServerDeadlineSettings = Field(default_factory=ServerDeadlineSettings)


class Fedavg(ServedProtocol):
    """Federated averaging, the baseline of the VBFL paper.

    McMahan et al. 2017, arXiv:1602.05629, algorithm 1 with C = 1.
    """

    name = "fedavg"
    summary = "every device trains, a server averages what arrives, nobody validates"
    reference = "McMahan et al. 2017, arXiv:1602.05629, algorithm 1"
    Scenario: ClassVar[type[Scenario]] = FedavgScenario

    def play_round(self) -> None:
        from sim.training.averaging import AveragingRound

        scenario = self.game.scenario
        assert isinstance(scenario, FedavgScenario)
        AveragingRound(self.game, self.chain, scenario.deadlines.validator_s).play()

    @classmethod
    def example(cls) -> dict[str, Any]:
        return super().example() | {"payout": {"mechanism": "flat"}}
