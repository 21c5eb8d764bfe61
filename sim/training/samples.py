"""Samples of the groups of adversaries: shared by sybils, poisoned, aimed at."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import lcm
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from mechanisms import answers
from mechanisms.vocabulary import DataObservation
from sim.data.sources.base import Dataset
from sim.data.split import Split
from sim.keys import SettingError
from sim.population.groups import Membership
from sim.streams import Streams
from sim.training.settings import WorkerGroup

Samples = tuple[NDArray[np.float32], NDArray[np.int64]]
"""(x, y) of samples."""


def initial_balances(
    each: int, holdings: Literal["equal", "zipf"], devices: int, streams: Streams
) -> dict[int, int]:
    """Return what every device holds at the start, base units; `each` is the mean.

    "zipf": the r-th of a drawn order holds total / (r H) with H = 1 + 1/2 + ... + 1/n, rounded
    down; the first has what is left over.
    """
    if holdings == "equal":
        return dict.fromkeys(range(devices), each)
    total = each * devices
    whole = lcm(*range(1, devices + 1))
    weights = [whole // rank for rank in range(1, devices + 1)]
    together = sum(weights)
    amounts = [total * weight // together for weight in weights]
    amounts[0] += total - sum(amounts)
    order = streams.rng("holdings").permutation(devices).tolist()
    held = dict(zip(order, amounts, strict=True))
    return {device: held[device] for device in range(devices)}


def share_identities(
    settings: Sequence[WorkerGroup],
    held: Mapping[int, int],
    groups: Sequence[Membership],
    split: Split,
) -> dict[int, int]:
    """Let the devices of a group of sybils hold one device's samples and stake; changes `split`.

    Returns the initial balance of every device, of which `held` is that without sybils; the stake
    that they share is that of the group's first device. Raises `SettingError` when there are too
    few samples to split.
    """
    balances = dict(held)
    for i, group in enumerate(settings):
        members = [device for device, m in enumerate(groups) if m.group == group.name]
        if group.spares:
            _prepare_spares(members, group.spares, held, split, balances)
        if group.identities == "own" or not members:
            continue
        shard = split.train[members[0]]
        if group.identities == "split" and len(shard) < len(members):
            expected = f"{len(shard)} samples are too few for {len(members)} identities"
            raise SettingError(f"adversaries.{i}.identities", group.identities, expected)
        if group.identities == "split":
            parts = np.array_split(shard, len(members))
        else:
            parts = [shard] * len(members)
        for device, part in zip(members, parts, strict=True):
            split.train[device] = part
            split.validation[device] = split.validation[members[0]]
            balances[device] = held[members[0]] // len(members)  # money cannot be copied
    return balances


def _prepare_spares(
    members: list[int], spares: int, held: Mapping[int, int], split: Split, balances: dict[int, int]
) -> None:
    """Give a whitewasher's later identities the samples and the money of the earlier ones."""
    first, later = members[: len(members) - spares], members[len(members) - spares :]
    for i, device in enumerate(later):
        twin = first[i % len(first)]
        split.train[device] = split.train[twin]
        split.validation[device] = split.validation[twin]
    money = sum(held[device] for device in first)
    for device in members:
        balances[device] = money // len(members)


def probe(data: Dataset, groups: Sequence[Membership], streams: Streams) -> Samples | None:
    """Return the test samples that measure targeted attacks; None when no group has such an aim."""
    found = []
    for m in {m.group: m for m in groups}.values():
        seen = DataObservation(
            device=-1,
            x=data.x_test,
            y=data.y_test,
            classes=data.classes,
            rng=streams.rng("adversary.probe", m.group),
        )
        for behaviour in (b for b in m.behaviours.values() if hasattr(b, "probe")):
            aim = answers.samples(behaviour, "probe", behaviour.probe(seen), seen)
            if aim is not None and len(aim[1]):
                found.append(aim)
    if not found:
        return None
    return np.concatenate([x for x, _ in found]), np.concatenate([y for _, y in found])


def poison(
    data: Dataset,
    groups: Sequence[Membership],
    split: Split,
    streams: Streams,
    role_of: Callable[[int], str],
) -> tuple[NDArray[np.float32], NDArray[np.int64], dict[int, NDArray[np.int64]]]:
    """Return the samples to train on, and by device the indices that replace its own.

    The samples are the data set's, and behind them the poisoned ones. `role_of` returns the
    role in which a device trains.
    """
    xs = [data.x_train]
    ys = [data.y_train]
    size = len(data.y_train)
    instead: dict[int, NDArray[np.int64]] = {}
    for device, m in enumerate(groups):
        indices = split.train[device]
        if not len(indices):
            continue
        behaviour: Any = m.behaviours[role_of(device)]
        seen = DataObservation(
            device=device,
            x=data.x_train[indices],
            y=data.y_train[indices],
            classes=data.classes,
            rng=streams.rng("adversary.data", device),
        )
        poisoned = answers.samples(behaviour, "poison", behaviour.poison(seen), seen)
        if poisoned is not None:
            xs.append(poisoned[0])
            ys.append(poisoned[1])
            instead[device] = np.arange(size, size + len(ys[-1]))
            size += len(ys[-1])
    if len(xs) == 1:
        return data.x_train, data.y_train, instead
    return np.concatenate(xs), np.concatenate(ys), instead
