"""Observations of rules."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from mechanisms.vocabulary.coordinator import Conduct
from mechanisms.vocabulary.records import FloatMatrix, Memory, UpdateRecord


class CoalitionUtility(Protocol):
    """Accuracy of coalitions of a block's updates on held-out samples, `float64[m]`.

    `members` is `bool[m, n]`: whether the update of `records[i]` is in coalition j. Measured is the
    unweighted mean of a coalition's updates; for the empty coalition, the model before the block.
    Nobody trains on these samples.
    """

    def __call__(self, members: NDArray[np.bool_]) -> NDArray[np.float64]: ...


@dataclass(frozen=True, kw_only=True)
class RoleObservation:
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
class ValidationObservation:
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

    round: int
    validator: int
    workers: tuple[int, ...]
    baseline_accuracy: float
    update_accuracies: NDArray[np.float64]
    global_accuracy: float = math.nan
    correct: NDArray[np.bool_] | None = None
    labels: NDArray[np.int64] | None = None
    reports: NDArray[np.float64] | None = None
    updates: FloatMatrix | None = None


@dataclass(frozen=True, kw_only=True)
class AggregationObservation:
    """The accepted updates of a block, sorted by worker.

    Rows `float32[n, P]`, claimed samples `int64[n]`, and the global model `float32[P]` that they
    started from. `root` is an update trained on a clean data set, for rules that observe it.
    """

    round: int
    workers: tuple[int, ...]
    updates: FloatMatrix
    samples: NDArray[np.int64]
    global_model: FloatMatrix
    root: FloatMatrix | None = None


@dataclass(frozen=True, kw_only=True)
class OpeningObservation:
    """What a payout rule sees before the first round: the devices and their base units."""

    devices: tuple[int, ...]
    balances: tuple[int, ...]

    @classmethod
    def of(cls, balances: Mapping[int, int]) -> OpeningObservation:
        """Return the observation of balances by device."""
        return cls(devices=tuple(balances), balances=tuple(balances.values()))


HIDDEN: Mapping[str, Mapping[str, Any]] = {
    "votes": {"positive": (), "negative": ()},
    "claims": {"claimed_samples": 0, "claimed_epochs": 0},
    "work": {"verified_samples": 0, "verified_epochs": 0},
    "reports": {"reports": ()},
}
"""Values that a record shows to rules that do not observe "votes", "claims" and so on."""

SHOWN: Mapping[str, tuple[str, ...]] = {
    "stakes": ("stakes",),
    "updates": ("updates",),
    "aggregate": ("start", "result"),
    "utility": ("utility",),
    "conduct": ("conduct",),
}
"""Fields of a block that only rules see that observe "stakes", "updates" and so on."""


@dataclass(frozen=True, kw_only=True)
class BlockObservation:
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
    """

    round: int
    miner: int | None
    records: tuple[UpdateRecord, ...]
    memory: Memory = field(default_factory=dict)
    stakes: tuple[int, ...] = ()
    updates: FloatMatrix | None = None
    start: FloatMatrix | None = None
    result: FloatMatrix | None = None
    utility: CoalitionUtility | None = None
    conduct: Conduct | None = None

    def shown_to(self, observes: frozenset[str]) -> BlockObservation:
        """Return what a rule that observes these names may see."""
        hidden: dict[str, Any] = {}
        for name, values in HIDDEN.items():
            if name not in observes:
                hidden |= values
        records = self.records
        if hidden:
            records = tuple(replace(r, **hidden) for r in records)
        # Only what is named is handed on; a new field stays hidden until `SHOWN` names it.
        shown: dict[str, Any] = {}
        for name, fields in SHOWN.items():
            if name in observes:
                shown |= {field: getattr(self, field) for field in fields}
        return BlockObservation(
            round=self.round, miner=self.miner, records=records, memory=self.memory, **shown
        )
