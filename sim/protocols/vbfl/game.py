"""The services of a VBFL run."""

from __future__ import annotations

from mechanisms import answers
from mechanisms import registries as rules
from sim.chain.forks import Forks
from sim.chain.signing import Keyring
from sim.kernel import Kernel
from sim.network import Network
from sim.protocols.vbfl.settings import VbflScenario
from sim.storage import UpdateStore
from sim.training.game import TrainingGame


class VbflGame(TrainingGame):
    """The services of VBFL beside those of training: roles, validation, keys, storage."""

    scenario: VbflScenario
    network: Network

    def __init__(self, kernel: Kernel) -> None:
        scenario = kernel.scenario
        assert isinstance(scenario, VbflScenario)
        network = Network(scenario.network, scenario.devices, kernel.streams)
        super().__init__(kernel, scenario, network, Forks)
        self.roles = rules.roles.create(scenario.roles.rule, scenario.roles.params)
        validation = scenario.validation
        self.validation = rules.validators.create(validation.rule, validation.params)
        epochs = self.validation.baseline_epochs
        answers.whole(self.validation, "baseline_epochs", epochs, least=-1)
        self.keys = Keyring(kernel.streams, scenario.devices)
        self.store = UpdateStore(scenario.storage, network, kernel.streams)
        self.require_members(sum(self.roles.minimum()))
