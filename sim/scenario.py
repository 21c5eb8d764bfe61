"""A scenario: everything that decides a run, validated, complete and canonical."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
import os
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from agents import registries as behaviours
from mechanisms import registries as rules
from mechanisms.combined import Combined
from mechanisms.payouts.base import PayoutRule
from mechanisms.plugin import PluginError
from mechanisms.registry import Registry
from sim.data import datasets
from sim.learning import models
from sim.privacy import INSTALL, accountant_installed
from sim.secrecy import needs_single_updates
from sim.settings import (
    AdversarySettings,
    AggregationSettings,
    AvailabilitySettings,
    BlocklistSettings,
    ChainSettings,
    ConsensusSettings,
    CoordinatorSettings,
    CostSettings,
    Count,
    DataSettings,
    DeadlineSettings,
    ModelSettings,
    NetworkSettings,
    PayoutSettings,
    PrivacySettings,
    RecordSettings,
    RegistrySettings,
    RoleSettings,
    Settings,
    StorageSettings,
    TrainingSettings,
    ValidationSettings,
)

HONEST = "honest"
"""Group of every device that is in no adversary group, and the behaviour that all registries have."""

SCHEMA_VERSION = 3
"""Changes whenever the same scenario would give different tables; part of every run's identity."""


LEAST_NOISE = 1e-3
"""Noise multipliers below protect nothing, and their epsilon is beyond what an accountant can state."""


class SettingError(ValueError):
    """One wrong setting: dotted key, value, and what would be right."""

    def __init__(self, key: str, value: Any, expected: str) -> None:
        super().__init__(f"{key} = {value!r}: {expected}")
        self.key, self.value, self.expected = key, value, expected


PLUGINS: dict[tuple[str, str], Registry] = {
    ("data", "dataset"): datasets,
    ("model", "name"): models,
    ("roles", "rule"): rules.roles,
    ("validation", "rule"): rules.validators,
    ("aggregation", "rule"): rules.aggregators,
    ("payout", "mechanism"): rules.payouts,
    ("coordinator", "verifier"): rules.verifiers,
}
"""Tables and their keys that choose a plug-in; its parameters are the table's `params`."""

BEHAVIOURS = {
    "worker": behaviours.workers,
    "validator": behaviours.validators,
    "miner": behaviours.miners,
    "learner": behaviours.learners,
}
"""Keys of an adversary group that choose a behaviour; its parameters are in `<key>_params`."""


class Scenario(Settings):
    """One run, whole. Two scenarios are equal exactly when their canonical JSON is."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,79}$")] = "scenario"
    """Label in tables, figures and default paths."""
    protocol: Literal["vbfl", "fedavg", "coordinator"] = "vbfl"
    """Order of events in a round: VBFL with its chain, plain federated averaging with a server, or an on-chain coordinator."""
    seed: Annotated[int, Field(ge=0, lt=2**63, strict=True)] = 0
    """Decides every random draw."""
    rounds: Annotated[Count, Field(le=1_000_000)] = 40
    """Protocol rounds to play."""
    devices: Annotated[int, Field(ge=1, le=100_000, strict=True)] = 20
    """How many devices there are, honest and not."""
    data: DataSettings = DataSettings()
    model: ModelSettings = ModelSettings()
    training: TrainingSettings = TrainingSettings()
    roles: RoleSettings = RoleSettings()
    validation: ValidationSettings = ValidationSettings()
    aggregation: AggregationSettings = AggregationSettings()
    payout: PayoutSettings = PayoutSettings()
    coordinator: CoordinatorSettings = CoordinatorSettings()
    consensus: ConsensusSettings = ConsensusSettings()
    chain: ChainSettings = ChainSettings()
    blocklist: BlocklistSettings = BlocklistSettings()
    network: NetworkSettings = NetworkSettings()
    deadlines: DeadlineSettings = DeadlineSettings()
    availability: AvailabilitySettings = AvailabilitySettings()
    adversaries: tuple[AdversarySettings, ...] = ()
    costs: CostSettings = CostSettings()
    privacy: PrivacySettings = PrivacySettings()
    storage: StorageSettings = StorageSettings()
    registry: RegistrySettings = RegistrySettings()
    record: RecordSettings = RecordSettings()

    @model_validator(mode="after")
    def _possible(self) -> Scenario:
        self._complete_params()
        self._check_adversaries()
        if self.protocol == "vbfl":
            self._check_vbfl()
        self._check_held_out()
        self._check_coordinator()
        self._check_parts()
        self._check_network()
        self._check_money()
        self._check_privacy()
        self._check_registry()
        if self.protocol != "vbfl" and self.storage.kind == "off-chain":
            raise SettingError(
                "storage.kind",
                "off-chain",
                f"{self.protocol} has no chain to keep updates off; needs protocol vbfl",
            )
        return self

    def _complete_params(self) -> None:
        """Check all plug-ins and write their parameters out, defaults included: what is complete can be compared."""
        full = [_check_plugin(*plugin) for plugin in self.plugins()]
        tables, rest = full[: len(PLUGINS)], iter(full[len(PLUGINS) :])
        for (table, _), params in zip(PLUGINS, tables, strict=True):
            # This very instance is being built: nobody has seen it yet.
            self.__dict__[table] = getattr(self, table).model_copy(update={"params": params})
        steps = tuple(
            step.model_copy(update={"params": next(rest)}) for step in self.aggregation.before
        )
        self.__dict__["aggregation"] = self.aggregation.model_copy(update={"before": steps})
        parts = tuple(p.model_copy(update={"params": next(rest)}) for p in self.payout.parts)
        self.__dict__["payout"] = self.payout.model_copy(update={"parts": parts})
        self.__dict__["adversaries"] = tuple(
            a.model_copy(
                update={f"{role}_params": next(rest) for role in BEHAVIOURS}
                | {
                    "strategies": tuple(
                        s.model_copy(update={"worker_params": next(rest)}) for s in a.strategies
                    )
                }
            )
            for a in self.adversaries
        )

    def plugins(self) -> list[tuple[str, Registry, str, dict[str, Any]]]:
        """Every plug-in named: dotted key of the name, registry, name, parameters."""
        found = []
        for (table, selector), registry in PLUGINS.items():
            settings = getattr(self, table)
            found.append(
                (f"{table}.{selector}", registry, getattr(settings, selector), settings.params)
            )
        for i, step in enumerate(self.aggregation.before):
            found.append((f"aggregation.before.{i}.rule", rules.transforms, step.rule, step.params))
        for i, p in enumerate(self.payout.parts):
            found.append((f"payout.parts.{i}.part", rules.parts, p.part, p.params))
        for i, a in enumerate(self.adversaries):
            for role, registry in BEHAVIOURS.items():
                found.append(
                    (
                        f"adversaries.{i}.{role}",
                        registry,
                        getattr(a, role),
                        getattr(a, f"{role}_params"),
                    )
                )
            for j, s in enumerate(a.strategies):
                found.append(
                    (
                        f"adversaries.{i}.strategies.{j}.worker",
                        behaviours.workers,
                        s.worker,
                        s.worker_params,
                    )
                )
        return found

    def _check_vbfl(self) -> None:
        minimum = rules.roles.create(self.roles.rule, self.roles.params).minimum()
        spares = sum(a.spares for a in self.adversaries)
        if sum(minimum) > self.devices - spares:
            besides = f" beside {spares} spare identities" if spares else ""
            raise SettingError(
                "devices", self.devices, f"the roles need at least {sum(minimum)} devices{besides}"
            )
        if self.validation.committee > minimum[1]:
            raise SettingError(
                "validation.committee",
                self.validation.committee,
                f"at most {minimum[1]}, the validators always drawn",
            )
        if self.data.validation_source == "holdout" and self.data.validation_fraction == 0:
            raise SettingError(
                "data.validation_fraction",
                0.0,
                "validators need samples; give a fraction in (0, 0.5]",
            )

    def _check_held_out(self) -> None:
        aggregation = rules.aggregators.create(self.aggregation.rule, self.aggregation.params)
        payout = self.payout_rule()
        held_out = self.data.validation_fraction > 0 and self.data.validation_source == "holdout"
        needs = "needs held-out samples: data.validation_fraction above 0 and data.validation_source holdout"
        if "root" in aggregation.observes and not held_out:
            raise SettingError("aggregation.rule", self.aggregation.rule, needs)
        if "utility" in payout.observes and not held_out:
            raise SettingError("payout.mechanism", self.payout.mechanism, needs)
        if self.registry.rollback_drop and not held_out:
            raise SettingError("registry.rollback_drop", self.registry.rollback_drop, needs)

        for key, registry, name, params in self.plugins():
            peeks = (
                registry is behaviours.workers
                and "validation" in registry.create(name, params).knows
            )
            if peeks and self.data.validation_source == "holdout" and not held_out:
                raise SettingError(key, name, needs)

    def _check_coordinator(self) -> None:
        """What only a coordinator's contract knows is there under no other protocol."""
        if self.protocol == "coordinator":
            device = self.coordinator.aggregator_device
            if self.coordinator.aggregator == "fixed" and device >= self.devices:
                raise SettingError(
                    "coordinator.aggregator_device",
                    device,
                    f"devices are numbered 0..{self.devices - 1}",
                )
            seats = rules.verifiers.create(
                self.coordinator.verifier, self.coordinator.params
            ).committee
            spares = sum(a.spares for a in self.adversaries)
            if self.devices - spares < seats + 2:
                told = f"a coordinated round needs an aggregator, a worker and a committee of {seats}: at least {seats + 2}"
                raise SettingError(
                    "devices",
                    self.devices,
                    told + (f" beside {spares} spare identities" if spares else ""),
                )
            return
        needs = "needs protocol = 'coordinator'"
        if "conduct" in rules.payouts.create(self.payout.mechanism, self.payout.params).observes:
            raise SettingError("payout.mechanism", self.payout.mechanism, needs)
        for i, p in enumerate(self.payout.parts):
            if "conduct" in rules.parts.create(p.part, p.params).observes:
                raise SettingError(f"payout.parts.{i}.part", p.part, needs)

    def _check_parts(self) -> None:
        names = [p.part for p in self.payout.parts]
        inside = [
            p.name
            for p in getattr(
                rules.payouts.create(self.payout.mechanism, self.payout.params), "parts", ()
            )
        ]
        for i, name in enumerate(names):
            if name in names[:i] or name in inside:
                raise SettingError(
                    f"payout.parts.{i}.part", name, "is there already: every part once"
                )

    def _check_adversaries(self) -> None:
        names = [g.name for g in self.adversaries]
        for i, group in enumerate(self.adversaries):
            if group.name == HONEST:
                raise SettingError(
                    f"adversaries.{i}.name", group.name, "is what all other devices are called"
                )
            if group.name in names[:i]:
                raise SettingError(
                    f"adversaries.{i}.name", group.name, "every group needs a name of its own"
                )
            if group.count and group.devices:
                raise SettingError(
                    f"adversaries.{i}.count", group.count, "give either count or devices, not both"
                )
            if group.until_round and group.until_round < group.from_round:
                raise SettingError(
                    f"adversaries.{i}.until_round",
                    group.until_round,
                    f"0, or at least from_round = {group.from_round}",
                )
            if group.strategies and group.worker != HONEST:
                raise SettingError(
                    f"adversaries.{i}.worker",
                    group.worker,
                    "give either worker or strategies, not both",
                )
            if group.spares and group.spares >= group.size:
                raise SettingError(
                    f"adversaries.{i}.spares",
                    group.spares,
                    f"below the size of the group, {group.size}",
                )
            for d in group.devices:
                if d >= self.devices:
                    raise SettingError(
                        f"adversaries.{i}.devices", d, f"devices are numbered 0..{self.devices - 1}"
                    )
        named = [d for g in self.adversaries for d in g.devices]
        if len(named) != len(set(named)):
            raise SettingError(
                "adversaries.devices", sorted(named), "a device can be in one group only"
            )
        total = sum(g.size for g in self.adversaries)
        if total > self.devices:
            raise SettingError(
                f"adversaries.{len(self.adversaries) - 1}.count",
                total,
                f"all groups together: at most the {self.devices} devices there are",
            )

    def _check_network(self) -> None:
        net = self.network
        if net.topology == "edges" and not net.edges:
            raise SettingError(
                "network.edges", [], "topology 'edges' needs a list of pairs of devices"
            )
        for pair in net.edges:
            if not all(0 <= d < self.devices for d in pair) or pair[0] == pair[1]:
                raise SettingError(
                    "network.edges",
                    list(pair),
                    f"pairs of two different devices in 0..{self.devices - 1}",
                )
        if (
            net.topology in ("small-world", "random-regular", "scale-free")
            and net.degree >= self.devices
        ):
            raise SettingError(
                "network.degree", net.degree, f"must be below the number of devices, {self.devices}"
            )
        if net.topology == "small-world" and net.degree % 2:
            raise SettingError(
                "network.degree",
                net.degree,
                "must be even: half of the neighbours on each side of the ring",
            )
        if net.topology == "random-regular" and net.degree * self.devices % 2:
            raise SettingError(
                "network.degree", net.degree, f"degree * devices ({self.devices}) must be even"
            )

    def _check_money(self) -> None:
        largest = (2**63 - 1) // self.devices
        if self.payout.initial_balance > largest:
            raise SettingError(
                "payout.initial_balance",
                self.payout.initial_balance,
                f"at most {largest:,} for {self.devices} devices: a supply is an int64",
            )

    def payout_rule(self) -> PayoutRule:
        """The payout rule with its parts around it."""
        rule: PayoutRule = rules.payouts.create(self.payout.mechanism, self.payout.params)
        parts = [rules.parts.create(p.part, p.params) for p in self.payout.parts]
        return Combined(rule, parts) if parts else rule

    def _check_privacy(self) -> None:
        p = self.privacy
        if 0 < p.noise < LEAST_NOISE:
            raise SettingError("privacy.noise", p.noise, f"0 for none, or at least {LEAST_NOISE:g}")
        if p.noise and not p.clip:
            raise SettingError(
                "privacy.noise", p.noise, "is in units of privacy.clip, which must be above 0"
            )
        if p.noise and not accountant_installed():
            raise SettingError(
                "privacy.noise", p.noise, f"needs dp-accounting to state epsilon: {INSTALL}"
            )
        offender = next(needs_single_updates(self), None) if p.secure_aggregation else None
        if offender:
            raise SettingError(*offender)

    def _check_registry(self) -> None:
        publishers = self.registry.publishers
        if publishers and self.protocol != "vbfl":
            raise SettingError(
                "registry.publishers",
                list(publishers),
                f"{self.protocol} has no miners who could publish",
            )
        for d in publishers:
            if d >= self.devices:
                raise SettingError(
                    "registry.publishers", d, f"devices are numbered 0..{self.devices - 1}"
                )
        if len(set(publishers)) < len(publishers):
            raise SettingError("registry.publishers", list(publishers), "names a device twice")

    # --- identity -----------------------------------------------------------------------------------------------

    def to_dict(self) -> dict[str, Any]:
        """Complete, plain values only (lists, not tuples)."""
        return _plain(self.model_dump())

    def canonical(self) -> str:
        """Canonical JSON: sorted keys, no spaces; infinity is written as the string "inf"."""
        return _canonical(self.to_dict())

    def run_id(self) -> str:
        """32 hexadecimal digits: BLAKE2b of the canonical scenario, seed included, the schema version and plug-ins by path."""
        values = self.to_dict()
        sources = {}
        for key, registry, name, _ in self.plugins():
            if ":" in name:  # where the file lies does not matter, what is in it does
                sources[key] = registry.fingerprint(name)
                set_key(values, key, f"{os.path.basename(name)}")
        text = json.dumps([SCHEMA_VERSION, _canonical(values), sources], sort_keys=True)
        return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()

    def replace(self, **changes: Any) -> Scenario:
        """A validated copy with dotted keys changed, as `scenario.replace(**{"training.epochs": 2})`."""
        values = self.to_dict()
        for key, value in changes.items():
            override(values, key, value)
        return Scenario.model_validate(values)


def override(values: dict[str, Any], key: str, value: Any) -> None:
    """`set_key`, but a table is merged into the one that is there, key by key, and another plug-in drops the parameters

    of the one before.
    """
    _, _, last = key.rpartition(".")
    at, index = _container(values, key, value)
    if isinstance(value, Mapping) and isinstance(at, dict) and isinstance(at.get(last), dict):
        for inner, each in sorted(
            value.items(), key=lambda item: not is_selector(f"{key}.{item[0]}")
        ):
            override(values, f"{key}.{inner}", each)
        return
    if isinstance(at, dict) and is_selector(key) and at.get(last) != value:
        at.pop(f"{last}_params" if last in BEHAVIOURS else "params", None)
    at[index] = value


def is_selector(key: str) -> bool:
    """Whether a dotted key chooses a plug-in."""
    table, _, last = key.rpartition(".")
    return (
        (table, last) in PLUGINS
        or (table.startswith("aggregation.before.") and last == "rule")
        or (table.startswith("payout.parts.") and last == "part")
        or (table.startswith("adversaries.") and last in BEHAVIOURS)
    )


def set_key(values: dict[str, Any], key: str, value: Any) -> None:
    """Set a dotted key in nested tables and lists; SettingError when it leads nowhere."""
    at, last = _container(values, key, value)
    at[last] = value


def _container(values: dict[str, Any], key: str, value: Any) -> tuple[Any, Any]:
    """The table or list that holds a dotted key, made when absent, and the key's last part as its index."""
    *path, last = key.split(".")
    at: Any = values
    for part in path:
        at = (
            at[_position(at, part, key, value)] if isinstance(at, list) else at.setdefault(part, {})
        )
        if not isinstance(at, dict | list):
            raise SettingError(key, value, f"{part!r} is a value, not a table")
    return at, _position(at, last, key, value) if isinstance(at, list) else last


def _position(at: list[Any], part: str, key: str, value: Any) -> int:
    if not (part.isascii() and part.isdecimal()) or int(part) >= len(at):
        raise SettingError(
            key,
            value,
            f"there is no entry {part!r}; entries are numbered 0..{len(at) - 1}"
            if at
            else f"there is no entry {part!r}: the list is empty",
        )
    return int(part)


def _check_plugin(
    key: str, registry: Registry, name: str, params: Mapping[str, Any]
) -> dict[str, Any]:
    """All parameters of a plug-in as it would be configured."""
    try:
        cls = registry.get(name)
    except PluginError as error:
        raise SettingError(key, name, str(error)) from error
    try:
        return _plain(dataclasses.asdict(cls.configure(params).params))
    except PluginError as error:
        table = key.rpartition(".")[0]
        inner = (
            "params" if not key.startswith("adversaries") else f"{key.rpartition('.')[2]}_params"
        )
        dotted = ".".join(p for p in (table, inner, error.key) if p)
        raise SettingError(dotted, error.value, str(error)) from error


def _canonical(values: dict[str, Any]) -> str:
    return json.dumps(
        _finite(values), sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False
    )


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
    if isinstance(value, float):
        return "inf" if math.isinf(value) else value + 0.0  # -0.0 is 0.0
    return value
