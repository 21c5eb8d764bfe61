"""The services of a run under a coordinator."""

from __future__ import annotations

from mechanisms import answers
from mechanisms import registries as rules
from sim.chain.forks import ServerChain
from sim.kernel import Kernel
from sim.keys import SettingError
from sim.network import Links
from sim.protocols.coordinator.settings import CoordinatorScenario
from sim.training.game import TrainingGame


class CoordinatorGame(TrainingGame):
    """What coordinated rounds need beside the services of training: the verifier."""

    scenario: CoordinatorScenario
    forks: ServerChain

    def __init__(self, kernel: Kernel) -> None:
        scenario = kernel.scenario
        assert isinstance(scenario, CoordinatorScenario)
        links = Links(scenario.network, scenario.devices, kernel.streams)
        super().__init__(kernel, scenario, links, ServerChain)
        settings = scenario.coordinator
        verifier = rules.verifiers.create(settings.verifier, settings.params)
        answers.whole(verifier, "committee", verifier.committee)
        answers.seconds(verifier, "prove_s", verifier.prove_s)
        answers.seconds(verifier, "verify_s", verifier.verify_s)
        self.verifier = verifier
        self.require_members(1)
        self._require_aggregator()

    def _require_aggregator(self) -> None:
        """Raise `SettingError` when nobody can post the bond that an aggregator needs."""
        if self.scenario.coordinator.aggregator == "organisation":
            return
        if self.payout.aggregators(self.forks.head.memory) == frozenset():
            expected = (
                "lets nobody post the bond of an aggregator; raise it, lower the bond, "
                "or let the organisation aggregate"
            )
            balance = self.scenario.payout.initial_balance
            raise SettingError("payout.initial_balance", balance, expected)
