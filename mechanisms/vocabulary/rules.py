"""Observations of rules."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Protocol, Self

import numpy as np
from numpy.typing import NDArray

from mechanisms.vocabulary.coordinator import Conduct
from mechanisms.vocabulary.observation import ABSENT, Observation
from mechanisms.vocabulary.records import FloatMatrix, Memory, UpdateRecord


class CoalitionUtility(Protocol):
    """Accuracy of coalitions of a block's updates on held-out samples, `float64[m]`.

    `members` is `bool[m, n]`: whether the update of `records[i]` is in coalition j. Measured is the
    unweighted mean of a coalition's updates; for the empty coalition, the model before the block.
    Nobody trains on these samples.
    """

    def __call__(self, members: NDArray[np.bool_]) -> NDArray[np.float64]: ...


INDIVIDUAL = "single updates"
"""Stands for what only rules see that look at single updates."""


@dataclass(frozen=True, kw_only=True)
class RoleObservation(Observation):
    """What a role rule sees before a round: the eligible devices and their stakes (base units).

    `outcomes` are pairs (accepted, rejected): the updates of each eligible device on the chain.
    """

    round: int
    eligible: tuple[int, ...]
    stakes: tuple[int, ...]
    previous_hash: bytes
    rng: np.random.Generator
    outcomes: tuple[tuple[int, int], ...] = ()


@dataclass(frozen=True, kw_only=True)
class ValidationObservation(Observation):
    """What one validator sees when it judges the updates of a round.

    `update_accuracies[i]` and `baseline_accuracy` are measured on the validator's own validation
    samples; the baseline is a model that the validator trained itself for the rule's
    `baseline_epochs`. Rules that name it also see

    "global"     `global_accuracy` of the validator's global model on the same samples
    "samples"    `correct` `bool[1 + n, S]`: which samples the baseline (first) and each update get
                 right; `labels` `int64[S]`
    "reports"    `reports` `float64[V, n]`: baseline minus update accuracy that each validator
                 measured (NaN: not judged)
    "updates"    `updates` `float32[n, P]`
    """

    groups = MappingProxyType(
        {
            INDIVIDUAL: ("baseline_accuracy", "update_accuracies"),
            "global": ("global_accuracy",),
            "samples": ("correct", "labels"),
            "reports": ("reports",),
            "updates": ("updates",),
        }
    )
    actor = "validator"

    round: int
    validator: int
    workers: tuple[int, ...]
    baseline_accuracy: float
    update_accuracies: NDArray[np.float64]
    global_accuracy: float = ABSENT
    correct: NDArray[np.bool_] = ABSENT
    labels: NDArray[np.int64] = ABSENT
    reports: NDArray[np.float64] = ABSENT
    updates: FloatMatrix = ABSENT

    @classmethod
    def names(cls) -> frozenset[str]:
        """Return the names that a rule can declare."""
        return super().names() - {INDIVIDUAL}

    @classmethod
    def condition(cls, group: str) -> str:
        """Return what a rule writes to see a group of fields."""
        return "individual = True" if group == INDIVIDUAL else super().condition(group)


@dataclass(frozen=True, kw_only=True)
class AggregationObservation(Observation):
    """The accepted updates of a block, sorted by worker.

    Rows `float32[n, P]`, claimed samples `int64[n]`, and the global model `float32[P]` that they
    started from. `root` is an update trained on a clean data set, for rules that observe it.
    """

    groups = MappingProxyType({"root": ("root",)})

    round: int
    workers: tuple[int, ...]
    updates: FloatMatrix
    samples: NDArray[np.int64]
    global_model: FloatMatrix
    root: FloatMatrix = ABSENT


@dataclass(frozen=True, kw_only=True)
class OpeningObservation(Observation):
    """What a payout rule sees before the first round: the devices and their base units."""

    devices: tuple[int, ...]
    balances: tuple[int, ...]

    @classmethod
    def of(cls, balances: Mapping[int, int]) -> OpeningObservation:
        """Return the observation of balances by device."""
        return cls(devices=tuple(balances), balances=tuple(balances.values()))


@dataclass(frozen=True, kw_only=True)
class BlockObservation(Observation):
    """What a payout rule sees of one block.

    `miner` is None when a coordinator aggregates and there is no chain. Every rule sees who sent an
    update, whether it was accepted, and its own memory. The rest is shown to rules that name it:

    "votes"      who voted which way on each update
    "reports"    scores that validators report
    "claims"     samples and epochs that workers claim
    "work"       samples and epochs that an audit would find
    "stakes"     base units of each device at the round's start, by its number
    "updates"    `updates` `float32[n, P]`, a row per record
    "aggregate"  the global model before (`start`) and after (`result`) the block, `float32[P]`
    "utility"    `utility(members)`: accuracies of means of the updates, see `CoalitionUtility`
    "conduct"    `conduct`: what a coordinator's contract knows; only under
                 `protocol = "coordinator"`
    "wallets"    `wallets`: by device the hash that it submitted to be paid, of those that did; only
                 under `protocol = "poc"`
    """

    groups = MappingProxyType(
        {
            "stakes": ("stakes",),
            "updates": ("updates",),
            "aggregate": ("start", "result"),
            "utility": ("utility",),
            "conduct": ("conduct",),
            "wallets": ("wallets",),
        }
    )

    round: int
    miner: int | None
    records: tuple[UpdateRecord, ...]
    memory: Memory = field(default_factory=dict)
    stakes: tuple[int, ...] = ()
    updates: FloatMatrix = ABSENT
    start: FloatMatrix = ABSENT
    result: FloatMatrix = ABSENT
    utility: CoalitionUtility = ABSENT
    conduct: Conduct = ABSENT
    wallets: Mapping[int, str] = ABSENT

    @classmethod
    def names(cls) -> frozenset[str]:
        """Return the names that a rule can declare: of the block, and of its records."""
        return super().names() | UpdateRecord.names()

    def shown_to(self, names: Collection[str] = ()) -> Self:
        """Return what a rule that declares these names may see, of the records as well."""
        block = self
        if not UpdateRecord.names() <= set(names):
            records = tuple(record.shown_to(names) for record in self.records)
            block = replace(self, records=records)
        return super(BlockObservation, block).shown_to(names)
