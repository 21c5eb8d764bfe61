"""The words that rules, behaviours and the world share: frozen observations in, decisions out.

Amounts are integers of base units. Devices are integers 0..n-1. `float32[K, P]` arrays hold one update per row.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

FloatMatrix = NDArray[np.float32]


class Role(StrEnum):
    """What a device does in one round."""

    WORKER = "worker"
    VALIDATOR = "validator"
    MINER = "miner"


@dataclass(frozen=True)
class ParameterSlot:
    """Where one named tensor of a model lives in a row: `row[start:start + size].reshape(shape)`."""

    name: str
    shape: tuple[int, ...]
    start: int
    size: int

    @property
    def stop(self) -> int:
        return self.start + self.size


class RowEvaluator(Protocol):
    """Accuracies `float64[k]` of rows `float32[k, P]` on one fixed set of samples."""

    def __call__(self, rows: FloatMatrix) -> NDArray[np.float64]: ...


class CoalitionUtility(Protocol):
    """What coalitions of a block's updates are worth, `float64[m]`: accuracy on held-out samples that nobody trains on.

    `members` is `bool[m, n]`: whether the update of `records[i]` is in coalition j. Measured is the unweighted mean of a
    coalition's updates; for nobody, the model before the block.
    """

    def __call__(self, members: NDArray[np.bool_]) -> NDArray[np.float64]: ...


# --- what rules see ---------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class RoleObservation:
    """What a role rule sees before a round: who may be drawn, with what stake (base units), and how many of its updates on

    the chain were accepted and rejected (`outcomes`).
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

    `update_accuracies[i]` and `baseline_accuracy` are measured on the validator's own validation samples; the baseline
    is a model that the validator trained itself for the rule's `baseline_epochs`. Rules that name it also see

    "global"     `global_accuracy` of the validator's global model on the same samples
    "samples"    `correct` `bool[1 + n, S]`: which samples the baseline (first) and each update get right; `labels` `int64[S]`
    "reports"    `reports` `float64[V, n]`: baseline minus update accuracy that each validator measured (NaN: not judged)
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
class VerificationObservation:
    """What a verifier is given: `genuine` `bool[n]`, whether re-executing the work of each worker would give its update."""

    round: int
    workers: tuple[int, ...]
    genuine: NDArray[np.bool_]
    rng: np.random.Generator


@dataclass(frozen=True, kw_only=True)
class AggregationObservation:
    """The accepted updates of a block, sorted by worker.

    Rows `float32[n, P]`, claimed samples `int64[n]`, and the global model `float32[P]` that they started from. `root` is an
    update trained on a clean data set, for rules that observe it.
    """

    round: int
    workers: tuple[int, ...]
    updates: FloatMatrix
    samples: NDArray[np.int64]
    global_model: FloatMatrix
    root: FloatMatrix | None = None


@dataclass(frozen=True, kw_only=True)
class UpdateRecord:
    """One update as a block records it: what the worker claims and who voted which way.

    `accepted` is the outcome of the vote: see `from_votes`.
    `verified_samples` and `verified_epochs` are the work that was really done, as an audit would find it. `reports` are
    (validator, score): the cosine of the update to the mean of those that the validator was sent, as it reports it.
    """

    worker: int
    claimed_samples: int
    claimed_epochs: int
    positive: tuple[int, ...]
    negative: tuple[int, ...]
    accepted: bool
    verified_samples: int = 0
    verified_epochs: int = 0
    reports: tuple[tuple[int, float], ...] = ()

    @classmethod
    def from_votes(
        cls,
        *,
        worker: int,
        claimed_samples: int,
        claimed_epochs: int,
        positive: tuple[int, ...],
        negative: tuple[int, ...],
        verified_samples: int = 0,
        verified_epochs: int = 0,
        reports: tuple[tuple[int, float], ...] = (),
    ) -> UpdateRecord:
        """Return a record that is accepted by at least as many votes as reject it (VBFL: a tie accepts)."""
        return cls(
            worker=worker,
            claimed_samples=claimed_samples,
            claimed_epochs=claimed_epochs,
            positive=positive,
            negative=negative,
            accepted=len(positive) >= len(negative),
            verified_samples=verified_samples,
            verified_epochs=verified_epochs,
            reports=reports,
        )


Memory = Mapping[str, Any]
"""What a rule remembers from block to block: plain JSON values. It belongs to the chain and forks with it."""


@dataclass(frozen=True)
class Payment:
    """A decision of a payout rule: `amount` base units from `payer` to `payee`.

    Either is a device's number or the name of an account. "issuance" and "burn" are the two ends of the world; others are
    those that the rule declares (`PayoutRule.accounts`), such as "escrow:pool". `holder`: the device that loses by it, where
    it is a penalty paid out of a deposit.
    """

    payee: int | str
    amount: int
    reason: str
    payer: int | str = "issuance"
    holder: int | None = None

    @property
    def per_device(self) -> bool:
        """Newly issued to a device: credited as each device appends the block. All others move once, as a contract's do."""
        return self.payer == "issuance" and isinstance(self.payee, int)


@dataclass(frozen=True)
class Settlement:
    """What a payout rule decides for a block; `memory` None leaves it as it was."""

    payments: tuple[Payment, ...] = ()
    memory: Memory | None = None


@dataclass(frozen=True, kw_only=True)
class OpeningObservation:
    """What a payout rule sees before the first round: who is there, with how many base units."""

    devices: tuple[int, ...]
    balances: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class Conduct:
    """What a coordinator's contract knows beside the records of a round.

    `unrevealed`: who committed and did not show the same; `malformed`: whose update could never be aggregated. `fault` of the
    aggregator: "wrong" (proved by `challenger`),
    "absent", or "". `false_challengers` disputed a right aggregate.
    """

    aggregator: int | None = None
    unrevealed: frozenset[int] = frozenset()
    malformed: frozenset[int] = frozenset()
    fault: str = ""
    challenger: int | None = None
    false_challengers: frozenset[int] = frozenset()


_OF_RECORDS: Mapping[str, Mapping[str, Any]] = {
    "votes": {"positive": (), "negative": ()},
    "claims": {"claimed_samples": 0, "claimed_epochs": 0},
    "work": {"verified_samples": 0, "verified_epochs": 0},
    "reports": {"reports": ()},
}
"""Fields of records by what shows them, with the values that stand for hidden ones."""


@dataclass(frozen=True, kw_only=True)
class BlockObservation:
    """What a payout rule sees of one block; `miner` is None where a coordinator aggregates and there is no chain.

    Every rule sees who sent an update, whether it was accepted, and its own memory. The rest is shown to rules that name it:

    "votes"      who voted which way on each update
    "reports"    scores that validators report
    "claims"     samples and epochs that workers claim
    "work"       samples and epochs that an audit would find
    "stakes"     base units of each device at the round's start, by its number
    "updates"    `updates` `float32[n, P]`, a row per record
    "aggregate"  the global model before (`start`) and after (`result`) the block, `float32[P]`
    "utility"    `utility(members)`: accuracies of means of the updates, see `CoalitionUtility`
    "conduct"    `conduct`: what a coordinator's contract knows; only under `protocol = "coordinator"`
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
        """What is left of it for a rule that observes these."""
        hidden: dict[str, Any] = {}
        for name, fields in _OF_RECORDS.items():
            if name not in observes:
                hidden |= fields
        return replace(
            self,
            records=tuple(replace(r, **hidden) for r in self.records) if hidden else self.records,
            stakes=self.stakes if "stakes" in observes else (),
            updates=self.updates if "updates" in observes else None,
            start=self.start if "aggregate" in observes else None,
            result=self.result if "aggregate" in observes else None,
            utility=self.utility if "utility" in observes else None,
            conduct=self.conduct if "conduct" in observes else None,
        )


# --- what behaviours see ----------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class DataObservation:
    """What a worker's behaviour sees of its device's own training samples before the run: `x` `[n, *shape]`, `y` `int64[n]`."""

    device: int
    x: NDArray[np.float32]
    y: NDArray[np.int64]
    classes: int
    rng: np.random.Generator


@dataclass(frozen=True, kw_only=True)
class WorkerObservation:
    """What the workers of one behaviour see after local training.

    `updates` is `float32[k, P]`: the rows that the k devices of this group trained, for as many epochs as they chose;
    `epochs` is what the protocol asks for. A behaviour gets what it declares in `knows`, else None:

    "others"      `others`: the trained rows of all other workers
    "previous"    `previous_models`: the global models that its devices held before the present ones
    "rules"       `rules`: plug-in and parameters of "validation", "aggregation" and "payout", as in the scenario
    "validation"  `validation(rows)`: accuracies on all samples that validators judge with
    """

    round: int
    devices: tuple[int, ...]
    updates: FloatMatrix
    global_models: FloatMatrix
    samples: NDArray[np.int64]
    epochs: NDArray[np.int64]
    layout: tuple[ParameterSlot, ...]
    rngs: tuple[np.random.Generator, ...]
    others: FloatMatrix | None = None
    previous_models: FloatMatrix | None = None
    rules: Mapping[str, Any] | None = None
    validation: RowEvaluator | None = None


@dataclass(frozen=True)
class Submission:
    """What the workers of one behaviour send: rows `[k, P]` and the work that each claims to have done.

    `forged`: under a signature that is not theirs; `replayed`: as a transaction of the round before; `duplicated`: a second
    time, with twice the claims. Where updates are committed to first, `reveals` says whether they are shown at all and
    `revealed` what is shown instead.
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
class ChoiceObservation:
    """What a rational device sees before a round; a play is (strategy, utility in base units) of a round as worker.

    `own`: its plays, oldest first. `peers`: the last play of each other member of its group. `history`: all of theirs.
    `index` is its place in the group.
    """

    round: int
    device: int
    index: int
    strategies: tuple[str, ...]
    own: tuple[tuple[int, float], ...]
    peers: tuple[tuple[int, float], ...]
    history: tuple[tuple[int, float], ...]
    rng: np.random.Generator


@dataclass(frozen=True, kw_only=True)
class VoteObservation:
    """What a validator's behaviour sees: the verdict of the rule for each update it was sent.

    `coalition` are the devices of its own group (empty for an honest device). With `knows = {"votes"}` `support[i]` is the
    share of positive votes on update i among validators that do not wait for others (0.5 where there is none), else None.
    `paid` `bool[n]` are the workers that paid its price, where it has one.
    """

    round: int
    validator: int
    workers: tuple[int, ...]
    verdicts: NDArray[np.bool_]
    rng: np.random.Generator
    coalition: frozenset[int] = frozenset()
    support: NDArray[np.float64] | None = None
    paid: NDArray[np.bool_] | None = None

    def payers(self) -> NDArray[np.bool_]:
        """`bool[n]`: who paid; nobody where nothing was collected."""
        return np.zeros(len(self.workers), dtype=np.bool_) if self.paid is None else self.paid


@dataclass(frozen=True, kw_only=True)
class MiningObservation:
    """What a miner's behaviour sees when its candidate block is ready.

    `coalition` are the devices of its own group. With `knows = {"updates"}` `updates[i]` is the row of `records[i]`, else None.
    """

    round: int
    miner: int
    records: tuple[UpdateRecord, ...]
    rng: np.random.Generator
    coalition: frozenset[int] = frozenset()
    updates: FloatMatrix | None = None


@dataclass(frozen=True, kw_only=True)
class DisputeObservation:
    """What a member sees that has recomputed a coordinated round's aggregate; `wrong`: what was delivered is another.

    `coalition` are the devices of its own group.
    """

    round: int
    device: int
    aggregator: int | None
    wrong: bool
    coalition: frozenset[int] = frozenset()


@dataclass(frozen=True)
class MiningDecision:
    """Whether the miner sends its block, whose updates it leaves out, and whose it replaces by rows of its own."""

    publish: bool = True
    censored: frozenset[int] = field(default_factory=frozenset)
    replaced: Mapping[int, FloatMatrix] = field(default_factory=dict)
