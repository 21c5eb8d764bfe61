"""The keys of vertical federated learning, and those of training that cannot act in it."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from agents import registries as behaviours
from agents.workers.base import WorkerBehaviour
from sim.keys import SettingError
from sim.settings import Settings
from sim.training.scenario import TrainingScenario

LABELS = 0
"""The device that holds the labels."""

IDLE = {
    "data": ("partition", "shards_per_device", "shard_order", "alpha"),
    "aggregation": ("rule", "params", "before"),
    "privacy": ("secure_aggregation", "clip", "noise"),
    "record": ("tape",),
}
"""Keys that cannot act where parties hold features of the same samples."""


class FeatureSettings(Settings):
    """Who holds which features."""

    dealt: Literal["in order", "shuffled"] = "in order"
    """Parties hold runs of features in the order of the data, device 0 the first, or random ones;
    as many each as possible.
    """


class VerticalScenario(TrainingScenario):
    """A run of vertical federated learning."""

    features: FeatureSettings = Field(default_factory=FeatureSettings)

    def check(self) -> None:
        super().check()
        self._check_idle()
        for i, group in enumerate(self.adversaries):
            if group.identities != "own":
                expected = "own: parties hold features, which identities cannot split"
                raise SettingError(f"adversaries.{i}.identities", group.identities, expected)
            if group.spares:
                expected = "0: nobody else holds the features of a party"
                raise SettingError(f"adversaries.{i}.spares", group.spares, expected)
        for choice in self.choices():
            if choice.registry is behaviours.workers:
                poison: Any = type(choice.create()).poison
                if poison is not WorkerBehaviour.poison:
                    expected = "changes whole samples, and here a party holds features of them"
                    raise SettingError(choice.key, choice.name, expected)

    def _check_idle(self) -> None:
        for table, names in IDLE.items():
            given = getattr(self, table)
            fields = type(given).model_fields
            for name in names:
                default = fields[name].get_default(call_default_factory=True)
                value = getattr(given, name)
                if name == "params":
                    default = type(given)().params
                if value != default:
                    expected = (
                        "cannot act where parties hold features of the same samples: leave it out"
                    )
                    raise SettingError(f"{table}.{name}", value, expected)
