"""Tables of a scenario that trains models: keys, types, bounds, meaning."""

from __future__ import annotations

import math
from typing import Annotated, Literal

from pydantic import Field, StrictBool

from agents import registries as behaviours
from mechanisms import registries as rules
from sim.conditions import when_any
from sim.keys import Chosen
from sim.learning import models
from sim.settings import (
    HONEST,
    Amount,
    Count,
    Deadline,
    Finite,
    MoneySettings,
    Natural,
    NonNegative,
    Parameters,
    Probability,
    RationalGroup,
    Settings,
)
from sim.training.conditions import UTILITY_IS_MEASURED, VOTERS_THREATEN, VOTES_ARE_SOLD


class ModelSettings(Settings):
    """Which network."""

    name: Annotated[str, Chosen(models)] = "mnist_2nn"
    """Model by name (`fedstake list models`) or `path/to/file.py:ClassName`."""
    params: Parameters = {}
    """Parameters of the model."""


class TrainingSettings(Settings):
    """Local training: plain SGD on cross-entropy."""

    learning_rate: Annotated[Finite, Field(gt=0, le=1_000)] = 0.01
    """Step size."""
    batch_size: Annotated[Count, Field(le=1_000_000)] = 10
    """Samples per step; the last batch of an epoch may be smaller."""
    epochs: Annotated[Count, Field(le=10_000)] = 5
    """Passes over its samples that a worker makes in a round."""


class TransformSettings(Settings):
    """One step in front of the aggregation rule."""

    rule: Annotated[str, Chosen(rules.transforms)]
    """Transform (`fedstake list transforms`)."""
    params: Parameters = {}
    """Parameters of the transform."""


class AggregationSettings(Settings):
    """How accepted updates become the next model."""

    rule: Annotated[str, Chosen(rules.aggregators)] = "mean"
    """Aggregation rule (`fedstake list aggregators`)."""
    params: Parameters = {}
    """Parameters of the rule."""
    before: tuple[TransformSettings, ...] = ()
    """Transforms that the updates go through first, in this order: `[[aggregation.before]]` with
    `rule` and `params`.
    """


class PartSettings(Settings):
    """One part around the payout rule."""

    part: Annotated[str, Chosen(rules.parts)]
    """Part (`fedstake list parts`)."""
    params: Parameters = {}
    """Parameters of the part."""


class PayoutSettings(MoneySettings):
    """What is paid, in which asset."""

    mechanism: Annotated[str, Chosen(rules.payouts)] = "vbfl"
    """Payout rule (`fedstake list mechanisms`)."""
    params: Parameters = {}
    """Parameters of the rule."""
    utility_samples: Annotated[Natural, UTILITY_IS_MEASURED] = 0
    """Held-out samples, at most, on which rules measure what updates are worth, drawn once per run;
    0: all.
    """
    holdings: Annotated[Literal["equal", "zipf"], when_any("initial_balance")] = "equal"
    """Everybody holds `initial_balance` at the start, or a few hold much of the same total: the
    r-th device of an order that the run's seed draws holds a share in proportion to 1 / r (zipf).
    """
    parts: tuple[PartSettings, ...] = ()
    """What stands around the rule, in this order: `[[payout.parts]]` with `part` and `params`."""


class WorkerStrategy(Settings):
    """One strategy that rational devices may play."""

    worker: Annotated[str, Chosen(behaviours.workers, "worker_params")]
    """Behaviour as worker."""
    worker_params: Parameters = {}
    """Parameters of that behaviour."""


class WorkerGroup(RationalGroup):
    """Devices that deviate as workers, drawn at random (`count`) or named (`devices`)."""

    worker: Annotated[str, Chosen(behaviours.workers, "worker_params")] = HONEST
    """Behaviour as worker (`fedstake list behaviours`)."""
    worker_params: Parameters = {}
    """Parameters of that behaviour."""
    identities: Literal["own", "split", "duplicate"] = "own"
    """Sybils: one operator's samples are split among all members, or copied to all, and its stake
    is split.
    """
    damage_benefit: NonNegative = 0.0
    """What a round is worth to each member beside its income, in base units times the error of the
    global model.
    """
    spares: Natural = 0
    """Whitewashers: so many of the group's identities wait, and take the place of members that are
    shut out or slashed; they join at the start, hold the samples of the others and share their
    money.
    """
    strategies: tuple[WorkerStrategy, ...] = ()
    """Rational devices: what each may play as worker, instead of `worker`:
    `[[adversaries.strategies]]`.
    """


class VotingGroup(WorkerGroup):
    """Devices that deviate as workers, validators or miners.

    They are drawn at random (`count`) or named (`devices`).
    """

    validator: Annotated[str, Chosen(behaviours.validators, "validator_params")] = HONEST
    """Behaviour as validator."""
    validator_params: Parameters = {}
    """Parameters of that behaviour."""
    miner: Annotated[str, Chosen(behaviours.miners, "miner_params")] = HONEST
    """Behaviour as miner."""
    miner_params: Parameters = {}
    """Parameters of that behaviour."""
    bribe: Annotated[Amount, VOTES_ARE_SOLD] = 0
    """What a member pays a validator for a positive vote, at most, out of what it held at the
    start.
    """


class CostSettings(Settings):
    """What work costs the device that does it; not paid to anybody, but part of its utility."""

    compute_per_s: NonNegative = 0.0
    """Base units per simulated second of training and evaluating."""


class VotingCostSettings(CostSettings):
    """Costs of work, and the largest price that an honest worker pays under threat."""

    concede: Annotated[Amount, VOTERS_THREATEN] = 0
    """What a worker of no group pays a validator that threatens to vote against it, at most, out of
    what it held at the start.
    """


class RecordSettings(Settings):
    """Logs that cost time."""

    epoch_accuracy: StrictBool = False
    """Test accuracy of every worker after every local epoch (table `epochs`)."""
    local_accuracy: StrictBool = False
    """Test accuracy of every submitted update (column `local_accuracy` of `participants`)."""
    tape: StrictBool = False
    """Everything that payout rules could observe, all updates included (tables `tape` and
    `opening`): what `fedstake compare` replays. Held in memory until the run ends: 4 bytes x
    parameters x updates.
    """


class PrivacySettings(Settings):
    """What others learn of a device's update."""

    secure_aggregation: StrictBool = False
    """Nobody sees a single update, only their sum: whatever needs single updates is refused."""
    clip: NonNegative = 0.0
    """Largest L2 norm of the change that a worker sends; 0: any."""
    noise: Annotated[Finite, Field(ge=0, le=1e6)] = 0.0
    """Standard deviation of the Gaussian noise on each coordinate of the clipped change, in units
    of `clip`; 0: none.
    """
    delta: Annotated[Finite, Field(gt=0, lt=1), when_any("noise")] = 1e-5
    """Probability at which the epsilon in table `participants` is stated."""


class VersionSettings(Settings):
    """Which versions of the model are kept, and when an older one comes back."""

    rollback_drop: Probability = 0.0
    """A new model that is worse than the best kept version by more than this accuracy (held-out
    samples) is undone; 0: never.
    """
    keep: Annotated[Count, Field(le=1_000), when_any("rollback_drop")] = 5
    """How many of the last versions may come back."""
    record: StrictBool = False
    """Write table `versions`; a scenario that rolls back always does."""

    @property
    def on(self) -> bool:
        """Whether versions are kept at all."""
        return self.record or self.rollback_drop > 0


class SignatureSettings(Settings):
    """What a server checks."""

    check_signatures: StrictBool = True
    """Refuse updates whose signature is not their sender's."""


class ServerDeadlineSettings(Settings):
    """When waiting ends, in seconds after the round's start; inf waits for everybody."""

    validator_s: Deadline = math.inf
    """Updates that reach the server later are not aggregated."""
