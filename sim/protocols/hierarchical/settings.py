"""The keys of hierarchical federated learning."""

from __future__ import annotations

import math
from typing import Annotated

from pydantic import Field

from agents import registries as behaviours
from mechanisms import registries as rules
from sim.keys import Chosen, SettingError
from sim.money.ledger import MAX_AMOUNT
from sim.settings import HONEST, Amount, Count, Deadline, Parameters, Settings
from sim.training.scenario import TrainingScenario
from sim.training.settings import WorkerGroup


class EdgeSettings(Settings):
    """The regions and their edges."""

    count: Count = 2
    """Regions: device d is in region d modulo `count`. In each round each region draws one of its
    devices that are there as its edge, which aggregates and does not train.
    """
    rounds: Annotated[Count, Field(le=1_000)] = 1
    """How often the workers of a region train, and its edge aggregates, before the server does:
    kappa_2 of HierFAVG.
    """
    rule: Annotated[str, Chosen(rules.aggregators)] = "mean"
    """How the server makes one model of those of the regions (`fedstake list aggregators`); edges
    use `aggregation`.
    """
    params: Parameters = {}
    """Parameters of that rule; `{ weighted = true }` weighs regions by the samples behind them, as
    HierFAVG does.
    """
    fee: Amount = 0
    """Base units issued to an edge for each update in the model that it delivers."""


class EdgeDeadlineSettings(Settings):
    """When waiting ends; inf waits for everybody."""

    edge_s: Deadline = math.inf
    """Seconds after workers have begun to train: updates that reach the edge later do not count."""
    server_s: Deadline = math.inf
    """Seconds after the round's start: models that reach the server later do not count."""


class EdgeGroup(WorkerGroup):
    """Devices that deviate as workers or edges, drawn at random (`count`) or named (`devices`)."""

    miner: Annotated[str, Chosen(behaviours.miners, "miner_params")] = HONEST
    """Behaviour as edge: whether it delivers, what it leaves out or replaces
    (`fedstake list behaviours`).
    """
    miner_params: Parameters = {}
    """Parameters of that behaviour."""


class HierarchicalScenario(TrainingScenario):
    """A run of hierarchical federated learning."""

    edges: EdgeSettings = Field(default_factory=EdgeSettings)
    deadlines: EdgeDeadlineSettings = Field(default_factory=EdgeDeadlineSettings)
    adversaries: tuple[EdgeGroup, ...] = ()

    def check(self) -> None:
        super().check()
        if 2 * self.edges.count > self.devices:
            expected = f"at most {self.devices // 2}: a region needs an edge and a worker"
            raise SettingError("edges.count", self.edges.count, expected)
        issued = self.edges.fee * self.devices * self.rounds
        if issued > MAX_AMOUNT:
            expected = f"can issue {issued:,} base units in a run: a supply is at most "
            raise SettingError("edges.fee", self.edges.fee, f"{expected}{MAX_AMOUNT:,}")
