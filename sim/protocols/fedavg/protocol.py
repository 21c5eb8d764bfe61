"""Federated averaging as a protocol: its keys, what it declares, and its round."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import Field

from sim.scenario import Scenario
from sim.training.protocol import TrainingProtocol
from sim.training.scenario import TrainingScenario
from sim.training.settings import ServerDeadlineSettings

if TYPE_CHECKING:
    from sim.kernel import Kernel
    from sim.training.game import TrainingGame


class FedavgScenario(TrainingScenario):
    """A run of federated averaging."""

    deadlines: ServerDeadlineSettings = Field(default_factory=ServerDeadlineSettings)


class Fedavg(TrainingProtocol):
    """Federated averaging, the baseline of the VBFL paper.

    McMahan et al. 2017, arXiv:1602.05629, algorithm 1 with C = 1.
    """

    name = "fedavg"
    summary = "every device trains, a server averages what arrives, nobody validates"
    reference = "McMahan et al. 2017, arXiv:1602.05629, algorithm 1"
    Scenario: ClassVar[type[Scenario]] = FedavgScenario

    def build(self, kernel: Kernel) -> TrainingGame:
        from sim.chain.forks import ServerChain
        from sim.network import Links
        from sim.training.game import TrainingGame

        scenario = kernel.scenario
        assert isinstance(scenario, FedavgScenario)
        links = Links(scenario.network, scenario.devices, kernel.streams)
        game = TrainingGame(kernel, scenario, links, ServerChain)
        game.require_members(1)
        return game

    def play_round(self) -> None:
        from sim.chain.forks import ServerChain
        from sim.training.averaging import AveragingRound

        forks, scenario = self.game.forks, self.game.scenario
        assert isinstance(forks, ServerChain)
        assert isinstance(scenario, FedavgScenario)
        AveragingRound(self.game, forks, scenario.deadlines.validator_s).play()

    @classmethod
    def example(cls) -> dict[str, Any]:
        return super().example() | {"payout": {"mechanism": "flat"}}
