"""The keys of asynchronous federated learning."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from sim.conditions import when
from sim.keys import SettingError
from sim.settings import Count, Finite, Natural, NonNegative, Settings
from sim.training.scenario import TrainingScenario


class MixingSettings(Settings):
    """How the server takes over updates that began from an older model than its present one."""

    buffer: Count = 1
    """Updates that the server waits for until it makes the next model, which ends a round: 1 as in
    FedAsync, more as in FedBuff.
    """
    step: Annotated[Finite, Field(gt=0, le=1)] = 0.6
    """How far the model moves towards what is aggregated: alpha of FedAsync, the server's learning
    rate of FedBuff.
    """
    takes: Literal["model", "change"] = "model"
    """What an update pulls the model towards: the model that the device has now (FedAsync), or the
    present one changed by what the device changed (FedBuff).
    """
    staleness: Literal["constant", "hinge", "polynomial"] = "polynomial"
    """How the weight s of an update falls with its staleness t, the models made since it began."""
    exponent: Annotated[NonNegative, when("staleness", "polynomial")] = 0.5
    """polynomial: s = (1 + t)^-exponent."""
    slope: Annotated[NonNegative, when("staleness", "hinge")] = 10.0
    """hinge: s = 1 / (1 + slope (t - grace)) above `grace`, 1 up to it."""
    grace: Annotated[Natural, when("staleness", "hinge")] = 4
    """hinge: staleness, in models, up to which an update has its whole weight."""

    def weight(self, staleness: int) -> float:
        """Return the weight s in 0..1 of an update that is so many models old.

        Xie et al. 2019, arXiv:1903.03934, section 5.2.
        """
        if self.staleness == "polynomial":
            return float((1 + staleness) ** -self.exponent)
        if self.staleness == "hinge" and staleness > self.grace:
            return 1 / (1 + self.slope * (staleness - self.grace))
        return 1.0


class AsynchronousScenario(TrainingScenario):
    """A run of asynchronous federated learning."""

    mixing: MixingSettings = Field(default_factory=MixingSettings)

    def check(self) -> None:
        super().check()
        if self.mixing.buffer > self.devices:
            expected = f"at most {self.devices}: a device waits until its update is used"
            raise SettingError("mixing.buffer", self.mixing.buffer, expected)
