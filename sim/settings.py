"""Tables of a scenario that all protocols or services share: keys, types, bounds, meaning."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from agents.registries import learners
from sim.conditions import when, when_any
from sim.data import datasets
from sim.keys import Chosen, SettingError, complete

HONEST = "honest"
"""Group of every participant that is in no adversary group, and the behaviour that every role has.
"""


MOST_SECONDS = 1e9
"""Simulated seconds of a run, 31 years: beyond them a run is a mistake, and floats lose seconds."""


def _deadline(value: float) -> float:
    if math.isnan(value):
        raise ValueError("must be a number, not NaN")
    if MOST_SECONDS < value < math.inf:
        raise ValueError(f"at most {MOST_SECONDS:g}, or inf")
    return value


EACH_ROUND = "each round"
"""Marks seconds that every round takes: of them it follows how many rounds a run can have."""

Natural = Annotated[int, Field(ge=0, strict=True)]
Count = Annotated[int, Field(ge=1, strict=True)]
Amount = Annotated[int, Field(ge=0, lt=2**63, strict=True)]
Finite = Annotated[float, Field(allow_inf_nan=False, strict=True)]
NonNegative = Annotated[Finite, Field(ge=0, le=1e9)]
Probability = Annotated[Finite, Field(ge=0, le=1)]
Speed = Annotated[Finite, Field(ge=0.001)]
Spread = Annotated[Finite, Field(ge=0, le=5)]
Deadline = Annotated[float, Field(gt=0, strict=True), AfterValidator(_deadline)]
Parameters = dict[str, Any]


class Settings(BaseModel):
    """Base of every table: no unknown keys, frozen, parameters of plug-ins complete.

    The text under a key says what it means; see `sim.meanings`.
    """

    # Of dozens of tables, a command checks a few: a validator is built when it is first used.
    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)

    @model_validator(mode="before")
    @classmethod
    def _complete_params(cls, values: Any) -> Any:
        """Check the plug-ins named and write out their parameters, so that scenarios compare."""
        return complete(cls, values) if isinstance(values, Mapping) else values


class MoneySettings(Settings):
    """The asset, and what everybody has of it at the start."""

    asset: Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9_-]{0,15}$")] = "STAKE"
    """Name of the asset that is paid and staked."""
    initial_balance: Amount = 0
    """Base units that every device holds at the start."""


class Group(Settings):
    """A group of participants that deviate, drawn at random (`count`) or named (`devices`)."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,39}$")] = "malicious"
    """Name of the group in all tables."""
    count: Natural = 0
    """How many devices, drawn by the run's seed."""
    devices: tuple[Natural, ...] = ()
    """Which devices, by number; instead of `count`."""
    from_round: Count = 1
    """First round in which the group deviates: sleepers behave until then."""
    until_round: Natural = 0
    """Last round in which it deviates; 0: for ever."""
    presence: Probability = 1.0
    """Churners: probability that a member takes part in a round."""

    @property
    def size(self) -> int:
        """How many participants are in the group."""
        return len(self.devices) or self.count

    @property
    def deviating(self) -> bool:
        """Whether its members count as adversaries; a game may have groups that do not."""
        return True


class RationalGroup(Group):
    """A group whose participants may choose among strategies.

    A protocol adds the table `strategies` and its roles.
    """

    learner: Annotated[
        str, Chosen(learners, "learner_params", role=False), when_any("strategies", wanted="given")
    ] = "bandit"
    """How they choose among `strategies` (`fedstake list learners`)."""
    learner_params: Annotated[Parameters, when_any("strategies", wanted="given")] = {}
    """Parameters of the learner."""


class DataSettings(Settings):
    """Which samples, and how they are dealt to devices."""

    dataset: Annotated[str, Chosen(datasets)] = "digits"
    """Data set by name (`fedstake list datasets`) or `path/to/file.py:ClassName`."""
    params: Parameters = {}
    """Parameters of the data set."""
    partition: Literal["iid", "shards", "dirichlet", "quantity"] = "shards"
    """How training samples are dealt: equal random parts; VBFL's label shards; label skew; size
    skew.
    """
    shards_per_device: Annotated[Count, when("partition", "shards")] = 2
    """Label shards per device (shards); each holds one or two labels."""
    shard_order: Annotated[Literal["shuffled", "file"], when("partition", "shards")] = "shuffled"
    """Samples of one label are shuffled before they are cut into shards (shards), or stay in the
    order of the data set: files often keep together what one writer wrote, so that shards differ in
    more than their labels.
    """
    alpha: Annotated[
        Finite, Field(ge=0.001, le=1e6), when("partition", "dirichlet", "quantity")
    ] = 0.5
    """Concentration of the Dirichlet distribution (dirichlet, quantity): the smaller, the more
    skewed.
    """
    validation_fraction: Annotated[Finite, Field(ge=0, le=0.5)] = 0.1
    """Share of the training samples that is held out; nobody trains on it. Validators and rules
    measure on it.
    """


class LinkSettings(Settings):
    """How fast devices compute and send."""

    link_bytes_per_s: Annotated[Finite, Field(ge=1)] = 70_000.0
    """Mean link speed of a device; the slower end decides."""
    link: Literal["homogeneous", "uniform", "lognormal"] = "homogeneous"
    """All links alike, uniform between 0.1 and 1.9 times the mean, or log-normal."""
    link_sigma: Annotated[Spread, when("link", "lognormal")] = 0.5
    """Sigma of the logarithm (lognormal)."""
    latency_s: Annotated[NonNegative, EACH_ROUND] = 0.0
    """Seconds per hop, beside the bytes."""
    compute_samples_per_s: Speed = 1_000.0
    """Mean number of samples that a device trains on per second."""
    compute: Literal["homogeneous", "uniform", "lognormal"] = "homogeneous"
    """All devices alike, uniform between 0.1 and 1.9 times the mean, or log-normal."""
    compute_sigma: Annotated[Spread, when("compute", "lognormal")] = 0.5
    """Sigma of the logarithm (lognormal)."""
    message_size: Literal["real", "printed"] = "real"
    """Bytes of what is sent; or, as published, of the text that printing it would give."""


class NetworkSettings(LinkSettings):
    """Who is connected to whom, and how fast devices compute and send."""

    topology: Literal[
        "complete", "ring", "star", "small-world", "scale-free", "random-regular", "edges"
    ] = "complete"
    """Graph of direct links; messages take the fastest route through it."""
    degree: Annotated[Count, when("topology", "small-world", "random-regular", "scale-free")] = 4
    """Neighbours per device (small-world, random-regular), links per new device (scale-free)."""
    rewire: Annotated[Probability, when("topology", "small-world")] = 0.1
    """Probability that a link of the ring leads elsewhere (small-world)."""
    edges: Annotated[tuple[tuple[Natural, Natural], ...], when("topology", "edges")] = ()
    """Pairs of devices (edges)."""
    validator_queue: Literal["fifo", "parallel"] = "fifo"
    """Whether a validator checks updates one after the other or, as published, all at once."""
    hashes_per_s: Annotated[Finite, Field(ge=1), when("consensus.kind", "pow")] = 1_000_000.0
    """Hashes per second of a device of mean computing power (pow)."""


class OutageSettings(Settings):
    """One scripted outage: some devices are offline between two times, whatever else holds."""

    from_s: NonNegative
    """When it begins, in simulated seconds since the start of the run."""
    until_s: Deadline
    """When it ends; inf: never."""
    share: Probability = 0.0
    """Share of all devices that it hits, drawn by the run's seed."""
    devices: tuple[Natural, ...] = ()
    """Which devices it hits, by number; instead of `share`."""

    def size(self, devices: int) -> int:
        """Return how many of so many devices a share is, rounded to whole ones."""
        return math.floor(self.share * devices + 0.5)

    def check(self, devices: int) -> None:
        """Raise `SettingError`, with a key relative to the table, for an outage of nobody."""
        if not self.until_s > self.from_s:
            raise SettingError("until_s", self.until_s, f"must be after from_s = {self.from_s:g}")
        if bool(self.share) == bool(self.devices):
            expected = "give either share or devices: whom the outage hits"
            raise SettingError("share", self.share, expected)
        if self.share and not self.size(devices):
            expected = f"is nobody of {devices} devices; at least {0.5 / devices:g}"
            raise SettingError("share", self.share, expected)
        for device in self.devices:
            if device >= devices:
                raise SettingError("devices", device, f"devices are numbered 0..{devices - 1}")
        if len(set(self.devices)) < len(self.devices):
            raise SettingError("devices", list(self.devices), "names a device twice")


class AvailabilitySettings(Settings):
    """Devices going offline and coming back."""

    kind: Literal["always", "per-round", "alternating"] = "always"
    """Always there; drawn anew for every round; or exponential spells on the clock, beginning
    online.
    """
    online: Annotated[Probability, when("kind", "per-round")] = 0.9
    """Probability of being there for a whole round (per-round)."""
    mean_online_s: Annotated[Finite, Field(ge=1, le=1e9), when("kind", "alternating")] = 3_600.0
    """Mean length of a spell online (alternating)."""
    mean_offline_s: Annotated[Finite, Field(ge=1, le=1e9), when("kind", "alternating")] = 600.0
    """Mean length of a spell offline (alternating)."""
    outages: tuple[OutageSettings, ...] = ()
    """Scripted outages on top of any kind: `[[availability.outages]]`."""


class StorageSettings(Settings):
    """Where updates live: inside the chain's blocks, or in a store beside it."""

    kind: Literal["chain", "off-chain"] = "chain"
    """Updates travel inside transactions and blocks; or these carry digests, and who needs an
    update fetches it.
    """
    latency_s: Annotated[NonNegative, when("kind", "off-chain"), EACH_ROUND] = 0.0
    """Seconds per request to the store, beside the bytes (off-chain)."""
    bytes_per_s: Annotated[Finite, Field(ge=1), when("kind", "off-chain")] = 1_000_000.0
    """Speed at which the store serves one request; the device's link may be slower (off-chain)."""
    availability: Annotated[Probability, when("kind", "off-chain")] = 1.0
    """Probability that a validator's request finds the update; one that does not is not judged by
    it (off-chain).
    """
    cost_per_mb: Annotated[NonNegative, when("kind", "off-chain")] = 0.0
    """Base units per 10^6 bytes that a worker stores; not paid to anybody, but part of its utility
    (off-chain).
    """
