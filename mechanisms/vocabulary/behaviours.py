"""Observations and decisions of behaviours."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from mechanisms.vocabulary.observation import ABSENT, Observation
from mechanisms.vocabulary.records import FloatMatrix, ParameterSlot, UpdateRecord


class RowEvaluator(Protocol):
    """Accuracies `float64[k]` of rows `float32[k, P]` on one fixed set of samples."""

    def __call__(self, rows: FloatMatrix) -> NDArray[np.float64]: ...


@dataclass(frozen=True, kw_only=True)
class DataObservation(Observation):
    """A device's own training samples before the run: `x` `float32[n, *shape]`, `y` `int64[n]`."""

    actor = "device"

    device: int
    x: NDArray[np.float32]
    y: NDArray[np.int64]
    classes: int
    rng: np.random.Generator


@dataclass(frozen=True, kw_only=True)
class WorkerObservation(Observation):
    """What the workers of one behaviour see after local training.

    `updates` is `float32[k, P]`: the rows that the k devices of this group trained, for as many
    epochs as they chose; `epochs` is what the protocol asks for. The rest is shown to behaviours
    that name it in `knows`:

    "others"      `others`: the trained rows of all other workers; no rows where commitments are
                  made before anything is revealed
    "previous"    `previous_models`: the global models that its devices held before the present ones
    "rules"       `rules`: plug-in and parameters of "validation", "aggregation" and "payout", as
                  in the scenario
    "validation"  `validation(rows)`: accuracies on all samples that validators judge with
    """

    groups = MappingProxyType(
        {
            "others": ("others",),
            "previous": ("previous_models",),
            "rules": ("rules",),
            "validation": ("validation",),
        }
    )
    declares = "knows"
    shown = "behaviours"
    actor = "devices"

    round: int
    devices: tuple[int, ...]
    updates: FloatMatrix
    global_models: FloatMatrix
    samples: NDArray[np.int64]
    epochs: NDArray[np.int64]
    layout: tuple[ParameterSlot, ...]
    rngs: tuple[np.random.Generator, ...]
    others: FloatMatrix = ABSENT
    previous_models: FloatMatrix = ABSENT
    rules: Mapping[str, Any] = ABSENT
    validation: RowEvaluator = ABSENT


@dataclass(frozen=True)
class Submission:
    """What the workers of one behaviour send: rows `[k, P]` and the work that each claims.

    forged       the signature is not the worker's own
    replayed     sent as a transaction of the round before
    duplicated   sent a second time, with twice the claims
    reveals      whether a committed update is revealed at all (commit-reveal protocols only)
    revealed     rows to reveal instead of the committed ones
    """

    updates: FloatMatrix
    claimed_samples: NDArray[np.int64]
    claimed_epochs: NDArray[np.int64]
    forged: bool = False
    replayed: bool = False
    duplicated: bool = False
    reveals: bool = True
    revealed: FloatMatrix | None = None


@dataclass(frozen=True, kw_only=True)
class ChoiceObservation(Observation):
    """What a rational device sees before a round.

    A play is (strategy, utility in base units) of a round as worker. `own` are the device's plays,
    oldest first; `peers` the last play of each other member of its group; `history` all plays of
    those. `index` is the device's place in the group.
    """

    actor = "device"

    round: int
    device: int
    index: int
    strategies: tuple[str, ...]
    own: tuple[tuple[int, float], ...]
    peers: tuple[tuple[int, float], ...]
    history: tuple[tuple[int, float], ...]
    rng: np.random.Generator


@dataclass(frozen=True, kw_only=True)
class VoteObservation(Observation):
    """What a validator's behaviour sees: the rule's verdict on each update that it was sent.

    `coalition` are the devices of its own group (empty for an honest device). With
    `knows = {"votes"}`, `support[i]` is the share of positive votes on update i among validators
    that do not wait for others (0.5 without any). `paid` `bool[n]` marks the workers that paid
    its price; None when it asks none.
    """

    groups = MappingProxyType({"votes": ("support",)})
    declares = "knows"
    shown = "behaviours"
    actor = "validator"

    round: int
    validator: int
    workers: tuple[int, ...]
    verdicts: NDArray[np.bool_]
    rng: np.random.Generator
    coalition: frozenset[int] = frozenset()
    support: NDArray[np.float64] = ABSENT
    paid: NDArray[np.bool_] | None = None

    def payers(self) -> NDArray[np.bool_]:
        """Return `bool[n]`: who paid; nobody when nothing was collected."""
        return np.zeros(len(self.workers), dtype=np.bool_) if self.paid is None else self.paid


@dataclass(frozen=True, kw_only=True)
class MiningObservation(Observation):
    """What a miner's behaviour sees when its candidate block is ready.

    `coalition` are the devices of its own group. With `knows = {"updates"}`, `updates[i]` is the
    row of `records[i]`.
    """

    groups = MappingProxyType({"updates": ("updates",)})
    declares = "knows"
    shown = "behaviours"
    actor = "miner"

    round: int
    miner: int
    records: tuple[UpdateRecord, ...]
    rng: np.random.Generator
    coalition: frozenset[int] = frozenset()
    updates: FloatMatrix = ABSENT


@dataclass(frozen=True)
class MiningDecision:
    """Whether a miner sends its block, which updates it leaves out, which rows it replaces."""

    publish: bool = True
    censored: frozenset[int] = field(default_factory=frozenset)
    replaced: Mapping[int, FloatMatrix] = field(default_factory=dict)
