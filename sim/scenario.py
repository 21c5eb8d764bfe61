"""A scenario: everything that decides a run, validated, complete and canonical."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StrictBool, model_validator

from agents import registries as behaviours
from mechanisms import registries as rules
from mechanisms.plugin import PluginError
from mechanisms.registry import Registry
from sim.data import datasets
from sim.learning import models

HONEST = "honest"
"""Group of every device that is in no adversary group, and the behaviour that all registries have."""

SCHEMA_VERSION = 1
"""Changes whenever the same scenario would give different tables; part of every run's identity."""


class SettingError(ValueError):
    """One wrong setting: dotted key, value, and what would be right."""

    def __init__(self, key: str, value: Any, expected: str) -> None:
        super().__init__(f"{key} = {value!r}: {expected}")
        self.key, self.value, self.expected = key, value, expected


def _not_nan(value: float) -> float:
    if math.isnan(value):
        raise ValueError("must be a number, not NaN")
    return value


Count = Annotated[int, Field(ge=1, strict=True)]
Device = Annotated[int, Field(ge=0, strict=True)]
Amount = Annotated[int, Field(ge=0, lt=2**63, strict=True)]
Finite = Annotated[float, Field(allow_inf_nan=False, strict=True)]
Positive = Annotated[Finite, Field(gt=0)]
NonNegative = Annotated[Finite, Field(ge=0, le=1e9)]
Spread = Annotated[Finite, Field(ge=0, le=5)]
"""Sigma of a log-normal; at 5 the fastest of 20 devices is already about 10,000,000 times faster than the slowest."""
Probability = Annotated[Finite, Field(ge=0, le=1)]
Deadline = Annotated[float, Field(gt=0, strict=True), AfterValidator(_not_nan)]
"""Seconds after the round's start; inf waits for everybody."""


class Settings(BaseModel):
    """Base of every table: unknown keys are refused, values never change."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class DataSettings(Settings):
    """Which samples, and how they are dealt to devices."""

    dataset: str = "digits"
    params: dict[str, Any] = {}
    partition: Literal["iid", "shards", "dirichlet", "quantity"] = "shards"
    shards_per_device: Count = 2
    alpha: Annotated[Finite, Field(ge=0.001, le=1e6)] = 0.5
    validation_fraction: Annotated[Finite, Field(ge=0, le=0.5)] = 0.1
    validation_holding: Literal["sharded", "shared"] = "sharded"
    validation_source: Literal["holdout", "test"] = "holdout"


class ModelSettings(Settings):
    """Which network."""

    name: str = "mnist_2nn"
    params: dict[str, Any] = {}


class TrainingSettings(Settings):
    """Local training: plain SGD on cross-entropy."""

    learning_rate: Annotated[Positive, Field(le=1_000)] = 0.01
    batch_size: Annotated[Count, Field(le=1_000_000)] = 10
    epochs: Annotated[Count, Field(le=10_000)] = 5


class RuleSettings(Settings):
    """A rule by name with its parameters."""

    rule: str
    params: dict[str, Any] = {}


class RoleSettings(RuleSettings):
    """Who plays which role."""

    rule: str = "counts"


class ValidationSettings(RuleSettings):
    """What counts as a good update, and how many validators judge it."""

    rule: str = "threshold"
    committee: Annotated[int, Field(ge=0, strict=True)] = 0
    """Validators per update; 0 means all."""


class AggregationSettings(RuleSettings):
    """How accepted updates become the next model."""

    rule: str = "mean"


class PayoutSettings(Settings):
    """What is paid, in which asset."""

    mechanism: str = "vbfl"
    params: dict[str, Any] = {}
    asset: Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9_-]{0,15}$")] = "STAKE"
    initial_balance: Amount = 0


class ConsensusSettings(Settings):
    """How a block is chosen."""

    kind: Literal["pos", "pow"] = "pos"
    difficulty: Annotated[int, Field(ge=1, le=16, strict=True)] = 2
    """Leading hexadecimal zeros (pow)."""
    tie_rule: Literal["hash", "latest-arrival"] = "hash"
    """Equal stakes: lowest hash of (previous block, miner's key); or, as published, whichever block comes last."""


class ChainSettings(Settings):
    """What devices check, and what they do when chains differ."""

    check_signatures: StrictBool = True
    check_links: StrictBool = True
    resync: Literal["replay", "chain-only", "off"] = "replay"
    """At a device's round start: adopt the heaviest chain with its model and rewards; the chain alone; or nothing."""
    live_model_alias: StrictBool = False
    """As published: before its first block a device's global model is the very network that it trains."""


class BlocklistSettings(Settings):
    """When a worker is shut out."""

    knock_out_rounds: Annotated[int, Field(ge=0, strict=True)] = 6
    """Rejected this many times in a row (0: never)."""
    lazy_rounds: Annotated[int, Field(ge=0, strict=True)] = 10
    """Worker without an update in the block this many times in a row (0: never); a chain cannot tell lazy from offline."""
    in_a_row: Literal["rounds", "rounds-as-worker"] = "rounds-as-worker"
    """Consecutive rounds of the calendar (as published), or of those in which the device was a worker."""
    clock: Literal["round", "block"] = "round"
    holds_roles: StrictBool = False
    """As published: a shut-out device still draws roles."""


class NetworkSettings(Settings):
    """Who is connected to whom, how fast devices compute and send, and when they are there."""

    topology: Literal["complete", "ring", "star", "small-world", "scale-free", "random-regular", "edges"] = "complete"
    degree: Count = 4
    rewire: Probability = 0.1
    edges: tuple[tuple[Device, Device], ...] = ()
    link_bytes_per_s: Annotated[Finite, Field(ge=1)] = 70_000.0
    link: Literal["homogeneous", "uniform", "lognormal"] = "homogeneous"
    link_sigma: Spread = 0.5
    latency_s: NonNegative = 0.0
    compute_samples_per_s: Annotated[Finite, Field(ge=0.001)] = 1_000.0
    compute: Literal["homogeneous", "uniform", "lognormal"] = "homogeneous"
    compute_sigma: Spread = 0.5
    message_size: Literal["real", "printed"] = "real"
    """Bytes of what is sent; or, as published, of the text that printing it would give."""
    validator_queue: Literal["fifo", "parallel"] = "fifo"
    """Whether a validator checks updates one after the other or, as published, all at once."""
    hashes_per_s: Annotated[Finite, Field(ge=1)] = 1_000_000.0


class DeadlineSettings(Settings):
    """When waiting ends."""

    validator_s: Deadline = math.inf
    miner_s: Deadline = math.inf
    block_s: Deadline = math.inf


class AvailabilitySettings(Settings):
    """Devices going offline and coming back."""

    kind: Literal["always", "per-round", "alternating"] = "always"
    online: Probability = 0.9
    """Probability of being there for a whole round (per-round)."""
    mean_online_s: Annotated[Finite, Field(ge=1)] = 3_600.0
    mean_offline_s: Annotated[Finite, Field(ge=1)] = 600.0


class AdversarySettings(Settings):
    """A group of devices that deviate, drawn at random (`count`) or named (`devices`)."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,39}$")] = "malicious"
    count: Annotated[int, Field(ge=0, strict=True)] = 0
    devices: tuple[Device, ...] = ()
    worker: str = "honest"
    worker_params: dict[str, Any] = {}
    validator: str = "honest"
    validator_params: dict[str, Any] = {}
    miner: str = "honest"
    miner_params: dict[str, Any] = {}

    @property
    def size(self) -> int:
        return len(self.devices) or self.count


class RecordSettings(Settings):
    """Logs that cost time."""

    epoch_accuracy: StrictBool = False
    """Test accuracy of every worker after every local epoch (table `epochs`)."""
    local_accuracy: StrictBool = False
    """Test accuracy of every update and baseline."""


PLUGINS: dict[tuple[str, str], Registry] = {
    ("data", "dataset"): datasets,
    ("model", "name"): models,
    ("roles", "rule"): rules.roles,
    ("validation", "rule"): rules.validators,
    ("aggregation", "rule"): rules.aggregators,
    ("payout", "mechanism"): rules.payouts,
}
"""Tables and their keys that choose a plug-in; its parameters are the table's `params`."""

BEHAVIOURS = {"worker": behaviours.workers, "validator": behaviours.validators, "miner": behaviours.miners}
"""Keys of an adversary group that choose a behaviour; its parameters are in `<key>_params`."""


class Scenario(Settings):
    """One run, whole. Two scenarios are equal exactly when their canonical JSON is."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,79}$")] = "scenario"
    protocol: Literal["vbfl", "fedavg"] = "vbfl"
    seed: Annotated[int, Field(ge=0, lt=2**63, strict=True)] = 0
    rounds: Annotated[Count, Field(le=1_000_000)] = 40
    devices: Annotated[int, Field(ge=1, le=100_000, strict=True)] = 20
    data: DataSettings = DataSettings()
    model: ModelSettings = ModelSettings()
    training: TrainingSettings = TrainingSettings()
    roles: RoleSettings = RoleSettings()
    validation: ValidationSettings = ValidationSettings()
    aggregation: AggregationSettings = AggregationSettings()
    payout: PayoutSettings = PayoutSettings()
    consensus: ConsensusSettings = ConsensusSettings()
    chain: ChainSettings = ChainSettings()
    blocklist: BlocklistSettings = BlocklistSettings()
    network: NetworkSettings = NetworkSettings()
    deadlines: DeadlineSettings = DeadlineSettings()
    availability: AvailabilitySettings = AvailabilitySettings()
    adversaries: tuple[AdversarySettings, ...] = ()
    record: RecordSettings = RecordSettings()

    @model_validator(mode="after")
    def _possible(self) -> Scenario:
        self._complete_params()
        if self.protocol == "vbfl":
            self._check_vbfl()
        self._check_adversaries()
        self._check_network()
        self._check_money()
        return self

    def _complete_params(self) -> None:
        """Check all plug-ins and write their parameters out, defaults included: what is complete can be compared."""
        full = [_check_plugin(*plugin) for plugin in self.plugins()]
        tables, groups = full[: len(PLUGINS)], iter(full[len(PLUGINS) :])
        for (table, _), params in zip(PLUGINS, tables, strict=True):
            # This very instance is being built: nobody has seen it yet.
            self.__dict__[table] = getattr(self, table).model_copy(update={"params": params})
        self.__dict__["adversaries"] = tuple(
            a.model_copy(update={f"{role}_params": next(groups) for role in BEHAVIOURS}) for a in self.adversaries
        )

    def plugins(self) -> list[tuple[str, Registry, str, dict[str, Any]]]:
        """Every plug-in named: dotted key of the name, registry, name, parameters."""
        found = []
        for (table, selector), registry in PLUGINS.items():
            settings = getattr(self, table)
            found.append((f"{table}.{selector}", registry, getattr(settings, selector), settings.params))
        for i, a in enumerate(self.adversaries):
            for role, registry in BEHAVIOURS.items():
                found.append((f"adversaries.{i}.{role}", registry, getattr(a, role), getattr(a, f"{role}_params")))
        return found

    def _check_vbfl(self) -> None:
        minimum = rules.roles.create(self.roles.rule, self.roles.params).minimum()
        if sum(minimum) > self.devices:
            raise SettingError("devices", self.devices, f"the roles need at least {sum(minimum)} devices")
        if self.validation.committee > minimum[1]:
            raise SettingError(
                "validation.committee", self.validation.committee, f"at most {minimum[1]}, the validators always drawn"
            )
        if self.data.validation_source == "holdout" and self.data.validation_fraction == 0:
            raise SettingError("data.validation_fraction", 0.0, "validators need samples; give a fraction in (0, 0.5]")

    def _check_adversaries(self) -> None:
        names = [g.name for g in self.adversaries]
        for i, group in enumerate(self.adversaries):
            if group.name == HONEST:
                raise SettingError(f"adversaries.{i}.name", group.name, "is what all other devices are called")
            if group.name in names[:i]:
                raise SettingError(f"adversaries.{i}.name", group.name, "every group needs a name of its own")
            if group.count and group.devices:
                raise SettingError(f"adversaries.{i}.count", group.count, "give either count or devices, not both")
            for d in group.devices:
                if d >= self.devices:
                    raise SettingError(f"adversaries.{i}.devices", d, f"devices are numbered 0..{self.devices - 1}")
        named = [d for g in self.adversaries for d in g.devices]
        if len(named) != len(set(named)):
            raise SettingError("adversaries.devices", sorted(named), "a device can be in one group only")
        total = sum(g.size for g in self.adversaries)
        if total > self.devices:
            raise SettingError("adversaries.count", total, f"at most the {self.devices} devices there are")

    def _check_network(self) -> None:
        net = self.network
        if net.topology == "edges" and not net.edges:
            raise SettingError("network.edges", [], "topology 'edges' needs a list of pairs of devices")
        for pair in net.edges:
            if not all(0 <= d < self.devices for d in pair) or pair[0] == pair[1]:
                raise SettingError("network.edges", list(pair), f"pairs of two different devices in 0..{self.devices - 1}")
        if net.topology in ("small-world", "random-regular", "scale-free") and net.degree >= self.devices:
            raise SettingError("network.degree", net.degree, f"must be below the number of devices, {self.devices}")
        if net.topology == "small-world" and net.degree % 2:
            raise SettingError("network.degree", net.degree, "must be even: half of the neighbours on each side of the ring")
        if net.topology == "random-regular" and net.degree * self.devices % 2:
            raise SettingError("network.degree", net.degree, f"degree * devices ({self.devices}) must be even")

    def _check_money(self) -> None:
        largest = (2**63 - 1) // self.devices
        if self.payout.initial_balance > largest:
            raise SettingError(
                "payout.initial_balance",
                self.payout.initial_balance,
                f"at most {largest:,} for {self.devices} devices: a supply is an int64",
            )

    # --- identity -----------------------------------------------------------------------------------------------

    def to_dict(self) -> dict[str, Any]:
        """Complete, plain values only (lists, not tuples)."""
        return _plain(self.model_dump())

    def canonical(self) -> str:
        """Canonical JSON: sorted keys, no spaces; infinity is written as the string "inf"."""
        return json.dumps(_finite(self.to_dict()), sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)

    def run_id(self) -> str:
        """32 hexadecimal digits: BLAKE2b of the canonical scenario, seed included, the schema version and plug-ins by path."""
        sources = {key: registry.fingerprint(name) for key, registry, name, _ in self.plugins() if ":" in name}
        text = json.dumps([SCHEMA_VERSION, self.canonical(), sources], sort_keys=True)
        return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()

    def replace(self, **changes: Any) -> Scenario:
        """A validated copy with dotted keys changed, as `scenario.replace(**{"training.epochs": 2})`."""
        values = self.to_dict()
        for key, value in changes.items():
            override(values, key, value)
        return Scenario.model_validate(values)


def override(values: dict[str, Any], key: str, value: Any) -> None:
    """`set_key`; choosing another plug-in drops the parameters of the one before."""
    table, _, last = key.rpartition(".")
    at, _ = _container(values, key, value)
    if isinstance(at, dict) and at.get(last) != value:
        if (table, last) in PLUGINS:
            at.pop("params", None)
        elif table.startswith("adversaries.") and last in BEHAVIOURS:
            at.pop(f"{last}_params", None)
    set_key(values, key, value)


def set_key(values: dict[str, Any], key: str, value: Any) -> None:
    """Set a dotted key in nested tables and lists; SettingError when it leads nowhere."""
    at, last = _container(values, key, value)
    at[last] = value


def _container(values: dict[str, Any], key: str, value: Any) -> tuple[Any, Any]:
    """The table or list that holds a dotted key, made when absent, and the key's last part as its index."""
    *path, last = key.split(".")
    at: Any = values
    for part in path:
        at = at[_position(at, part, key, value)] if isinstance(at, list) else at.setdefault(part, {})
        if not isinstance(at, dict | list):
            raise SettingError(key, value, f"{part!r} is a value, not a table")
    return at, _position(at, last, key, value) if isinstance(at, list) else last


def _position(at: list[Any], part: str, key: str, value: Any) -> int:
    if not part.isdigit() or int(part) >= len(at):
        raise SettingError(key, value, f"there is no entry {part!r}; it has {len(at)}")
    return int(part)


def _check_plugin(key: str, registry: Registry, name: str, params: Mapping[str, Any]) -> dict[str, Any]:
    """All parameters of a plug-in as it would be configured."""
    try:
        cls = registry.get(name)
    except PluginError as error:
        raise SettingError(key, name, str(error)) from error
    try:
        return _plain(dataclasses.asdict(cls.configure(params).params))
    except PluginError as error:
        table = key.rpartition(".")[0]
        inner = "params" if not key.startswith("adversaries") else f"{key.rpartition('.')[2]}_params"
        dotted = ".".join(p for p in (table, inner, error.key) if p)
        raise SettingError(dotted, error.value, str(error)) from error


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    return value


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _finite(v) for k, v in value.items()}
    if isinstance(value, list):
        return [_finite(v) for v in value]
    if isinstance(value, float) and math.isinf(value):
        return "inf"
    return value
