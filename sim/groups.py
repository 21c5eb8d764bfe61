"""Who belongs to which group of adversaries, when it deviates, and what data its devices hold."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from agents import registries as behaviours
from agents.learners.base import Learner
from agents.miners.base import MinerBehaviour
from agents.validators.base import ValidatorBehaviour
from agents.workers.base import WorkerBehaviour
from mechanisms.vocabulary import DataObservation
from sim.data.sources.base import Dataset
from sim.data.split import Split
from sim.scenario import HONEST, Scenario, SettingError
from sim.streams import Streams


@dataclass(frozen=True)
class Membership:
    """A group and its behaviour in each role; outside rounds `first` to `last` its devices do what honest ones do."""

    group: str
    worker: WorkerBehaviour
    validator: ValidatorBehaviour
    miner: MinerBehaviour
    first: int = 1
    last: int = 0
    presence: float = 1.0
    bribe: int = 0
    spares: tuple[int, ...] = ()
    strategies: tuple[WorkerBehaviour, ...] = ()
    learner: Learner = field(default_factory=lambda: behaviours.learners.create("bandit"))

    def active(self, round: int) -> bool:
        """Whether the group deviates in a round (`last` 0: for ever)."""
        return self.first <= round and (self.last == 0 or round <= self.last)


def honest() -> Membership:
    """What every device does that is in no group."""
    return Membership(
        HONEST,
        behaviours.workers.create(HONEST),
        behaviours.validators.create(HONEST),
        behaviours.miners.create(HONEST),
    )


def draw_groups(scenario: Scenario, streams: Streams) -> list[Membership]:
    """The membership of every device: as named, or drawn by the run's seed."""
    named = {d for g in scenario.adversaries for d in g.devices}
    free = [d for d in range(scenario.devices) if d not in named]
    drawn = iter(streams.rng("adversaries").permutation(free).tolist())
    assigned = [honest()] * scenario.devices
    for i, g in enumerate(scenario.adversaries):
        members = sorted(g.devices or [next(drawn) for _ in range(g.count)])
        strategies = tuple(
            behaviours.workers.create(s.worker, s.worker_params) for s in g.strategies
        )
        for j, s in enumerate(strategies):
            if type(s).poison is not WorkerBehaviour.poison:
                raise SettingError(
                    f"adversaries.{i}.strategies.{j}.worker",
                    s.name,
                    "poisons data before the run; it cannot be one of several",
                )
        group = Membership(
            g.name,
            behaviours.workers.create(g.worker, g.worker_params),
            behaviours.validators.create(g.validator, g.validator_params),
            behaviours.miners.create(g.miner, g.miner_params),
            g.from_round,
            g.until_round,
            g.presence,
            g.bribe,
            tuple(members[len(members) - g.spares :]) if g.spares else (),
            strategies,
            behaviours.learners.create(g.learner, g.learner_params),
        )
        for d in members:
            assigned[d] = group
    return assigned


def coalitions(groups: Sequence[Membership]) -> list[frozenset[int]]:
    """Of every device the members of its adversary group, nobody for an honest device."""
    members: dict[str, set[int]] = {}
    for device, m in enumerate(groups):
        members.setdefault(m.group, set()).add(device)
    return [frozenset() if m.group == HONEST else frozenset(members[m.group]) for m in groups]


def share_identities(
    scenario: Scenario, groups: Sequence[Membership], split: Split
) -> dict[int, int]:
    """Sybils: let the devices of a group hold one device's samples and stake. Returns the initial balance of every device."""
    balances = dict.fromkeys(range(scenario.devices), scenario.payout.initial_balance)
    for i, g in enumerate(scenario.adversaries):
        members = [d for d, m in enumerate(groups) if m.group == g.name]
        if g.spares:
            _prepare_spares(members, g.spares, scenario.payout.initial_balance, split, balances)
        if g.identities == "own" or not members:
            continue
        shard = split.train[members[0]]
        if g.identities == "split" and len(shard) < len(members):
            raise SettingError(
                f"adversaries.{i}.identities",
                g.identities,
                f"{len(shard)} samples are too few for {len(members)} identities",
            )
        parts = (
            np.array_split(shard, len(members))
            if g.identities == "split"
            else [shard] * len(members)
        )
        for device, part in zip(members, parts, strict=True):
            split.train[device] = part
            split.validation[device] = split.validation[members[0]]
            balances[device] = scenario.payout.initial_balance // len(
                members
            )  # money cannot be copied
    return balances


def _prepare_spares(
    members: list[int], spares: int, balance: int, split: Split, balances: dict[int, int]
) -> None:
    """A whitewasher's later identities hold the samples of the earlier ones, and all share the earlier ones' money."""
    first, later = members[: len(members) - spares], members[len(members) - spares :]
    for i, device in enumerate(later):
        twin = first[i % len(first)]
        split.train[device], split.validation[device] = split.train[twin], split.validation[twin]
    for device in members:
        balances[device] = balance * len(first) // len(members)


def probe(
    data: Dataset, groups: Sequence[Membership], streams: Streams
) -> tuple[NDArray[np.float32], NDArray[np.int64]] | None:
    """Test samples on which the success of targeted attacks is measured, of all groups that have such an aim."""
    found = []
    for m in {m.group: m for m in groups}.values():
        seen = DataObservation(
            device=-1,
            x=data.x_test,
            y=data.y_test,
            classes=data.classes,
            rng=streams.rng("adversary.probe", m.group),
        )
        aim = m.worker.probe(seen)
        if aim is not None and len(aim[1]):
            found.append(aim)
    if not found:
        return None
    return np.concatenate([x for x, _ in found]).astype(np.float32), np.concatenate(
        [y for _, y in found]
    ).astype(np.int64)


def poison(
    data: Dataset, groups: Sequence[Membership], split: Split, streams: Streams
) -> tuple[NDArray[np.float32], NDArray[np.int64], dict[int, NDArray[np.int64]]]:
    """The samples to train on: the data set's, and behind them what devices train on instead, with the indices of those."""
    xs, ys, size, instead = [data.x_train], [data.y_train], len(data.y_train), {}
    for device, m in enumerate(groups):
        mine = split.train[device]
        rng = streams.rng("adversary.data", device)
        poisoned = m.worker.poison(
            DataObservation(
                device=device,
                x=data.x_train[mine],
                y=data.y_train[mine],
                classes=data.classes,
                rng=rng,
            )
        )
        if poisoned is not None:
            xs.append(np.asarray(poisoned[0], dtype=np.float32))
            ys.append(np.asarray(poisoned[1], dtype=np.int64))
            instead[device] = np.arange(size, size + len(ys[-1]))
            size += len(ys[-1])
    if len(xs) == 1:
        return data.x_train, data.y_train, instead
    return np.concatenate(xs), np.concatenate(ys), instead
