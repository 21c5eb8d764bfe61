"""A scenario: everything that decides a run, validated, complete and canonical.

Every protocol has a class of its own.
"""

from __future__ import annotations

import difflib
import hashlib
import json
import math
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, Field, ValidationError, model_validator

from mechanisms.failures import told
from mechanisms.plugin import PluginError, device_numbers, nearest
from sim.conditions import drop_switched_off, gives, switched_off
from sim.keys import (
    Choice,
    Chosen,
    SettingError,
    choices,
    dotted_keys,
    expected_of,
    has_key,
    plain,
    plugins_first,
    set_key,
    table_at,
    table_of,
)
from sim.keys import override as set_or_merge
from sim.registries import protocols
from sim.settings import EACH_ROUND, HONEST, MOST_SECONDS, Count, Group, MoneySettings, Settings

SCHEMA_VERSION = 5
"""Changes whenever the same scenario would give different tables; part of every run's identity."""

DEFAULT_PROTOCOL = "vbfl"
"""Of a scenario that names none."""


class Scenario(Settings):
    """The keys that every protocol has.

    Two scenarios are equal exactly when their canonical JSON is.
    """

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,79}$")] = "scenario"
    """Label in tables, figures and default paths."""
    protocol: Annotated[str, Chosen(protocols, params="")] = DEFAULT_PROTOCOL
    """The game that is played (`fedstake list protocols`) or `path/to/file.py:ClassName`; it
    decides which keys there are.
    """
    seed: Annotated[int, Field(ge=0, lt=2**63, strict=True)] = 0
    """Decides every random draw."""
    rounds: Annotated[Count, Field(le=1_000_000)] = 40
    """Rounds, or slices of time, to play."""
    devices: Annotated[int, Field(ge=1, le=100_000, strict=True)] = 20
    """How many participants there are, honest and not."""
    payout: MoneySettings = Field(default_factory=MoneySettings)
    adversaries: tuple[Group, ...] = ()

    @model_validator(mode="after")
    def _possible(self) -> Scenario:
        self.check()
        return self

    def check(self) -> None:
        """Raise `SettingError` for what nobody could play; protocols add their own checks."""
        self._check_acting()
        self._check_groups()
        self._check_money()
        self._check_devices()
        self._check_time()

    def _check_devices(self) -> None:
        """Refuse numbers of devices that are not there in the parameters of plug-ins."""
        for choice in self.choices():
            if not choice.params_key:
                continue
            for key, device in device_numbers(choice.create().params):
                if device >= self.devices:
                    raise SettingError(f"{choice.params_key}.{key}", device, self.numbered)

    def _check_time(self) -> None:
        """Refuse rounds that take so long, whatever happens in them, that a run cannot have all."""
        most_s = MOST_SECONDS / self.rounds
        for key, seconds in _marked(self, EACH_ROUND):
            if seconds > most_s:
                expected = (
                    f"at most {most_s:g} for {self.rounds} rounds: a run may last "
                    f"{MOST_SECONDS:.0e} simulated seconds (31 years)"
                )
                raise SettingError(key, seconds, expected)

    def _check_acting(self) -> None:
        """Refuse keys that another key switches off, unless they have their defaults."""
        for off in switched_off(type(self), self.to_dict()):
            if off.value != off.default:
                raise off.error

    def _check_groups(self) -> None:
        names = [group.name for group in self.adversaries]
        for i, group in enumerate(self.adversaries):
            place = f"adversaries.{i}"
            if group.name == HONEST:
                raise SettingError(
                    f"{place}.name", group.name, "is what all other devices are called"
                )
            if group.name in names[:i]:
                raise SettingError(
                    f"{place}.name", group.name, "every group needs a name of its own"
                )
            if group.count and group.devices:
                expected = "give either count or devices, not both"
                raise SettingError(f"{place}.count", group.count, expected)
            if group.until_round and group.until_round < group.from_round:
                expected = f"0, or at least from_round = {group.from_round}"
                raise SettingError(f"{place}.until_round", group.until_round, expected)
            for device in group.devices:
                if device >= self.devices:
                    raise SettingError(f"{place}.devices", device, self.numbered)
        named = [device for group in self.adversaries for device in group.devices]
        if len(named) != len(set(named)):
            raise SettingError(
                "adversaries.devices", sorted(named), "a device can be in one group only"
            )
        total = sum(group.size for group in self.adversaries)
        if total > self.devices:
            last = f"adversaries.{len(self.adversaries) - 1}.count"
            expected = f"there are only {self.devices} devices"
            if len(self.adversaries) > 1:
                expected = f"all groups together have {total}, and {expected}"
            raise SettingError(last, self.adversaries[-1].size, expected)

    def _check_money(self) -> None:
        largest = (2**63 - 1) // self.devices
        balance = self.payout.initial_balance
        if balance > largest:
            expected = f"at most {largest:,} for {self.devices} devices: a supply is an int64"
            raise SettingError("payout.initial_balance", balance, expected)

    def drawn_from(self, group: Any) -> Sequence[int]:
        """Return the devices among which the members of a group are drawn: all of them."""
        return range(self.devices)

    @property
    def numbered(self) -> str:
        """The valid range of device numbers, as messages say it."""
        return f"devices are numbered 0..{self.devices - 1}"

    def __reduce_ex__(self, version: Any) -> Any:
        """Pickle a game by path as plain values; another process finds its class in the file."""
        if ":" in self.protocol:
            return scenario_of, (self.to_dict(),)
        return super().__reduce_ex__(version)

    # --- identity -----------------------------------------------------------------------------

    def choices(self) -> list[Choice]:
        """Return every plug-in that the scenario names."""
        return list(choices(self))

    def to_dict(self) -> dict[str, Any]:
        """Return all keys with plain values (lists, not tuples)."""
        return plain(self.model_dump())

    def canonical(self) -> str:
        """Return canonical JSON: sorted keys, no spaces, infinity as the string "inf"."""
        return _canonical(self.to_dict())

    def contents(self, data: Path | None = None) -> dict[str, str]:
        """Return by key the SHA-256 of what the scenario names and does not hold, such as samples.

        `data` is the folder of data files.
        """
        return {}

    def run_id(self, data: str | os.PathLike[str] | None = None) -> str:
        """Return 32 hexadecimal digits: BLAKE2b of all that decides the run.

        That is the scenario, the schema, the files of plug-ins with what they import from beside
        themselves, and the samples of a data set that is not shipped, read with `data` as the
        folder of data files. Raises `DataError` where these cannot be read.
        """
        values = self.to_dict()
        sources = self.contents(None if data is None else Path(data))
        for choice in self.choices():
            if ":" in choice.name:  # where the file lies does not matter, what is in it does
                file = choice.registry.fingerprint(choice.name)
                sources[choice.key] = file + sources.get(choice.key, "")
                set_key(values, choice.key, os.path.basename(choice.name))
        text = json.dumps([SCHEMA_VERSION, _canonical(values), sources], sort_keys=True)
        return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()

    def replace(self, **changes: Any) -> Scenario:
        """Return a validated copy with dotted keys changed.

        For example `scenario.replace(**{"training.epochs": 2})`.
        """
        values = self.to_dict()
        change(values, changes)
        return scenario_of(values)


# --- from plain values --------------------------------------------------------------------------


def scenario_class(values: Mapping[str, Any]) -> type[Scenario]:
    """Return the scenario class of the protocol that plain values name.

    Raises `SettingError` when there is no such protocol.
    """
    name = values.get("protocol", DEFAULT_PROTOCOL)
    if not isinstance(name, str):
        raise SettingError("protocol", name, "must be the name of a protocol")
    try:
        return protocols.get(name).Scenario  # type: ignore[attr-defined]
    except PluginError as error:
        raise SettingError("protocol", name, str(error)) from error


def scenario_of(values: Mapping[str, Any]) -> Scenario:
    """Return the scenario of plain values; raise `SettingError` for the first wrong key.

    Raises `PluginFailedError` for what a plug-in raises when it is asked what it needs.
    """
    values = plain(values)
    try:
        with told():
            return scenario_class(values).model_validate(values)
    except ValidationError as error:
        raise _first_problem(error, values) from error


def change(values: dict[str, Any], changes: Mapping[str, Any]) -> None:
    """Set dotted keys in plain values: protocol first, then other plug-ins, then the rest.

    A table is merged into the one that is there. Naming another plug-in drops the parameters of the
    one before; naming another protocol drops the keys that it does not have, but none in a list: a
    group of adversaries means what it says or is refused. A key that acted and that the changes
    switch off is dropped, unless they give it themselves. Raises `SettingError`.
    """
    idle = {off.path for off in switched_off(scenario_class(values), values)}
    if "protocol" in changes:
        before = scenario_class(values)
        values["protocol"] = plain(changes["protocol"])
        _drop_foreign(values, before, scenario_class(values))
    root = scenario_class(values)
    for key in plugins_first(root, changes):
        set_or_merge(root, values, key, plain(changes[key]))
    drop_switched_off(root, values, lambda path: path in idle or gives(changes, path))


def _drop_foreign(values: dict[str, Any], before: type[BaseModel], after: type[BaseModel]) -> None:
    """Drop keys of one protocol that another does not have, in inner tables as well."""
    for key in before.model_fields.keys() - after.model_fields.keys():
        values.pop(key, None)
    for key, value in values.items():
        if key not in before.model_fields or not isinstance(value, dict):
            continue
        inner = table_of(before.model_fields[key]), table_of(after.model_fields[key])
        if inner[0] is not None and inner[1] is not None:
            _drop_foreign(value, inner[0], inner[1])


def protocols_with(path: Sequence[str | int]) -> list[str]:
    """Return the names of the protocols that have a key."""
    return [name for name in protocols.names() if has_key(scenario_class({"protocol": name}), path)]


# --- what is wrong ------------------------------------------------------------------------------


def _first_problem(error: ValidationError, values: Mapping[str, Any]) -> SettingError:
    """Return the first error of pydantic's as ours, and how many more there are."""
    first, *rest = error.errors()
    more = f" (and {len(rest)} more)" if rest else ""
    path = first["loc"]
    inner = first.get("ctx", {}).get("error")
    if isinstance(inner, SettingError):
        key = ".".join(map(str, (*path, inner.key)))
        return SettingError(key, inner.value, inner.expected + more)
    key = ".".join(map(str, path))
    if first["type"] == "extra_forbidden":
        expected = _unknown(path, values) + more
        return SettingError(*_first_key(key, first["input"]), expected)
    if first["type"] == "missing":
        given = ", ".join(map(str, first["input"])) if isinstance(first["input"], Mapping) else ""
        return SettingError(key, None, f"missing; given: {given or 'nothing'}{more}")
    return SettingError(key, first["input"], expected_of(first) + more)


def _first_key(key: str, value: Any) -> tuple[str, Any]:
    """Return the first dotted key in a table and its value.

    The key is the table's own where it holds no table.
    """
    while isinstance(value, Mapping) and value:
        inner = next(iter(value))
        key, value = f"{key}.{inner}", value[inner]
    return key, value


def _marked(table: BaseModel, mark: str, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the dotted keys of a table, tables inside included, that bear a mark; their values."""
    for name, field in type(table).model_fields.items():
        value = getattr(table, name)
        if mark in field.metadata:
            yield prefix + name, value
        elif isinstance(value, BaseModel):
            yield from _marked(value, mark, f"{prefix}{name}.")


def _unknown(path: tuple[int | str, ...], values: Mapping[str, Any]) -> str:
    """Return what is wrong with a key that the scenario's protocol does not have."""
    others = protocols_with(path)
    if others:
        name = protocols.get(values.get("protocol", DEFAULT_PROTOCOL)).name
        return f"is no key of {name}; it is one of {', '.join(others)}"
    root, last = scenario_class(values), str(path[-1])
    elsewhere = {key: key.rpartition(".")[2] for key in dotted_keys(root, values)}
    same = [key for key, end in elsewhere.items() if end == last]
    if same:
        return f"unknown key; did you mean {' or '.join(same[:3])}?"
    table = table_at(root, path[:-1])
    known = [] if table is None else list(table.model_fields)
    near = difflib.get_close_matches(last, elsewhere.values(), n=1, cutoff=0.8)
    if near and not difflib.get_close_matches(last, known, n=1):
        return f"unknown key; did you mean {_first_with(elsewhere, near[0])}?"
    return f"unknown key; {nearest(last, known)}"


def _first_with(keys: Mapping[str, str], end: str) -> str:
    """Return the first dotted key that ends in a word."""
    return next(key for key, last in keys.items() if last == end)


# --- canonical form -----------------------------------------------------------------------------


def _canonical(values: dict[str, Any]) -> str:
    return json.dumps(
        _finite(values), sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False
    )


def _finite(value: Any) -> Any:
    """Return a value in which infinity is text and -0.0 is 0.0."""
    if isinstance(value, dict):
        return {key: _finite(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_finite(inner) for inner in value]
    if isinstance(value, float):
        return "inf" if math.isinf(value) else value + 0.0
    return value
