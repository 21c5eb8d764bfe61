"""The tables of a scenario: every key, its type, its bounds and what it means."""

from __future__ import annotations

import math
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StrictBool


def _not_nan(value: float) -> float:
    if math.isnan(value):
        raise ValueError("must be a number, not NaN")
    return value


Natural = Annotated[int, Field(ge=0, strict=True)]
Count = Annotated[int, Field(ge=1, strict=True)]
Amount = Annotated[int, Field(ge=0, lt=2**63, strict=True)]
Finite = Annotated[float, Field(allow_inf_nan=False, strict=True)]
NonNegative = Annotated[Finite, Field(ge=0, le=1e9)]
Probability = Annotated[Finite, Field(ge=0, le=1)]
Speed = Annotated[Finite, Field(ge=0.001)]
Spread = Annotated[Finite, Field(ge=0, le=5)]
Deadline = Annotated[float, Field(gt=0, strict=True), AfterValidator(_not_nan)]
Parameters = dict[str, Any]


class Settings(BaseModel):
    """Base of every table: unknown keys are refused, values never change. The text under a key is its description."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


class DataSettings(Settings):
    """Which samples, and how they are dealt to devices."""

    dataset: str = "digits"
    """Data set by name (`fedstake list datasets`) or `path/to/file.py:ClassName`."""
    params: Parameters = {}
    """Parameters of the data set."""
    partition: Literal["iid", "shards", "dirichlet", "quantity"] = "shards"
    """How training samples are dealt: equal random parts; VBFL's label shards; label skew; size skew."""
    shards_per_device: Count = 2
    """Label shards per device (shards); each holds one or two labels."""
    alpha: Annotated[Finite, Field(ge=0.001, le=1e6)] = 0.5
    """Concentration of the Dirichlet distribution (dirichlet, quantity): the smaller, the more skewed."""
    validation_fraction: Annotated[Finite, Field(ge=0, le=0.5)] = 0.1
    """Share of the training samples that is held out for validators; nobody trains on it."""
    validation_holding: Literal["sharded", "shared"] = "sharded"
    """Every device holds its own part of the held-out samples, or all hold all of them."""
    validation_source: Literal["holdout", "test"] = "holdout"
    """Validators use the held-out samples or, as published, the test set that is also reported."""


class ModelSettings(Settings):
    """Which network."""

    name: str = "mnist_2nn"
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


class RoleSettings(Settings):
    """Who plays which role."""

    rule: str = "counts"
    """Role rule (`fedstake list roles`)."""
    params: Parameters = {}
    """Parameters of the rule."""


class ValidationSettings(Settings):
    """What counts as a good update, and how many validators judge it."""

    rule: str = "threshold"
    """Validation rule (`fedstake list validators`)."""
    params: Parameters = {}
    """Parameters of the rule."""
    committee: Natural = 0
    """Validators per update; 0 means all."""


class TransformSettings(Settings):
    """One step in front of the aggregation rule."""

    rule: str
    """Transform (`fedstake list transforms`)."""
    params: Parameters = {}
    """Parameters of the transform."""


class AggregationSettings(Settings):
    """How accepted updates become the next model."""

    rule: str = "mean"
    """Aggregation rule (`fedstake list aggregators`)."""
    params: Parameters = {}
    """Parameters of the rule."""
    before: tuple[TransformSettings, ...] = ()
    """Transforms that the updates go through first, in this order: `[[aggregation.before]]` with `rule` and `params`."""


class PartSettings(Settings):
    """One part around the payout rule."""

    part: str
    """Part (`fedstake list parts`)."""
    params: Parameters = {}
    """Parameters of the part."""


class PayoutSettings(Settings):
    """What is paid, in which asset."""

    mechanism: str = "vbfl"
    """Payout rule (`fedstake list mechanisms`)."""
    params: Parameters = {}
    """Parameters of the rule."""
    asset: Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9_-]{0,15}$")] = "STAKE"
    """Name of the asset that is paid and staked."""
    initial_balance: Amount = 0
    """Base units that every device holds at the start."""
    utility_samples: Natural = 0
    """Held-out samples, at most, on which rules measure what updates are worth, drawn once per run; 0: all."""
    parts: tuple[PartSettings, ...] = ()
    """What stands around the rule, in this order: `[[payout.parts]]` with `part` and `params`."""


class CoordinatorSettings(Settings):
    """The round of an on-chain coordinator (`protocol = "coordinator"`)."""

    verifier: str = "committee"
    """How updates are found genuine or not (`fedstake list verifiers`)."""
    params: Parameters = {}
    """Parameters of the verifier."""
    commit_reveal: StrictBool = True
    """Workers commit to a salted hash first and reveal later, so that nobody can copy what others send."""
    submission_s: Deadline = math.inf
    """Commitments that arrive later than this after the round's start are refused; inf waits for everybody who is there."""
    reveal_s: Deadline = 3_600.0
    """Reveals that arrive later than this after the end of submissions are refused (the guide: one hour)."""
    aggregator: Literal["organisation", "fixed", "stake"] = "stake"
    """Who aggregates: the organisation itself, one permissioned device, or a bonded device drawn by stake for each round."""
    aggregator_device: Natural = 0
    """The permissioned device (fixed)."""
    challenge_s: NonNegative = 60.0
    """Length of the window in which members may dispute an aggregate."""
    watch: Probability = 0.2
    """Probability that a member recomputes the aggregate in that window."""
    watch_s: NonNegative = 1.0
    """Seconds of computing that this costs it."""


class ConsensusSettings(Settings):
    """How a block is chosen."""

    kind: Literal["pos", "pow"] = "pos"
    """Highest stake wins, or the first to find a proof of work."""
    difficulty: Annotated[int, Field(ge=1, le=16, strict=True)] = 2
    """Leading hexadecimal zeros (pow)."""
    tie_rule: Literal["hash", "latest-arrival"] = "hash"
    """Equal stakes: lowest hash of (previous block, miner's key); or, as published, whichever block comes last."""


class ChainSettings(Settings):
    """What devices check, and what they do when chains differ."""

    check_signatures: StrictBool = True
    """Verify signatures of updates, votes and blocks, and that a block's updates are the ones signed for."""
    check_links: StrictBool = True
    """Accept a block only on top of one's own last block."""
    resync: Literal["replay", "chain-only", "off"] = "replay"
    """At a device's round start: adopt the heaviest chain with its model and rewards; the chain alone; or nothing."""
    live_model_alias: StrictBool = False
    """As published: before its first block a device's global model is the very network that it trains and judges with."""


class BlocklistSettings(Settings):
    """When a worker is shut out."""

    knock_out_rounds: Natural = 6
    """Rejected this many times in a row (0: never)."""
    lazy_rounds: Natural = 10
    """Worker without an update in the block this many times in a row (0: never); a chain cannot tell lazy from offline."""
    in_a_row: Literal["rounds", "rounds-as-worker"] = "rounds-as-worker"
    """Consecutive rounds of the calendar (as published), or of those in which the device was a worker."""
    clock: Literal["round", "block"] = "round"
    """Rounds are counted by the round's number or, as published, by the height of the block."""
    holds_roles: StrictBool = False
    """As published: a shut-out device still draws roles."""


class NetworkSettings(Settings):
    """Who is connected to whom, and how fast devices compute and send."""

    topology: Literal[
        "complete", "ring", "star", "small-world", "scale-free", "random-regular", "edges"
    ] = "complete"
    """Graph of direct links; messages take the fastest route through it."""
    degree: Count = 4
    """Neighbours per device (small-world, random-regular), links per new device (scale-free)."""
    rewire: Probability = 0.1
    """Probability that a link of the ring leads elsewhere (small-world)."""
    edges: tuple[tuple[Natural, Natural], ...] = ()
    """Pairs of devices (edges)."""
    link_bytes_per_s: Annotated[Finite, Field(ge=1)] = 70_000.0
    """Mean link speed of a device; the slower end decides."""
    link: Literal["homogeneous", "uniform", "lognormal"] = "homogeneous"
    """All links alike, uniform between 0.1 and 1.9 times the mean, or log-normal."""
    link_sigma: Spread = 0.5
    """Sigma of the logarithm (lognormal)."""
    latency_s: NonNegative = 0.0
    """Seconds per hop, beside the bytes."""
    compute_samples_per_s: Speed = 1_000.0
    """Mean number of samples that a device trains on per second."""
    compute: Literal["homogeneous", "uniform", "lognormal"] = "homogeneous"
    """All devices alike, uniform between 0.1 and 1.9 times the mean, or log-normal."""
    compute_sigma: Spread = 0.5
    """Sigma of the logarithm (lognormal)."""
    message_size: Literal["real", "printed"] = "real"
    """Bytes of what is sent; or, as published, of the text that printing it would give."""
    validator_queue: Literal["fifo", "parallel"] = "fifo"
    """Whether a validator checks updates one after the other or, as published, all at once."""
    hashes_per_s: Annotated[Finite, Field(ge=1)] = 1_000_000.0
    """Hashes per second of a device of mean computing power (pow)."""


class DeadlineSettings(Settings):
    """When waiting ends, in seconds after the round's start; inf waits for everybody."""

    validator_s: Deadline = math.inf
    """Updates that reach a validator later are not judged (the server's deadline in `fedavg`)."""
    miner_s: Deadline = math.inf
    """Votes that reach a miner later are not in its block."""
    block_s: Deadline = math.inf
    """Blocks that reach a miner later are not considered."""


class AvailabilitySettings(Settings):
    """Devices going offline and coming back."""

    kind: Literal["always", "per-round", "alternating"] = "always"
    """Always there; drawn anew for every round; or exponential spells on the clock, beginning online."""
    online: Probability = 0.9
    """Probability of being there for a whole round (per-round)."""
    mean_online_s: Annotated[Finite, Field(ge=1)] = 3_600.0
    """Mean length of a spell online (alternating)."""
    mean_offline_s: Annotated[Finite, Field(ge=1)] = 600.0
    """Mean length of a spell offline (alternating)."""


class StrategySettings(Settings):
    """One strategy that rational devices may play."""

    worker: str
    """Behaviour as worker."""
    worker_params: Parameters = {}
    """Parameters of that behaviour."""


class AdversarySettings(Settings):
    """A group of devices that deviate, drawn at random (`count`) or named (`devices`)."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,39}$")] = "malicious"
    """Name of the group in all tables."""
    count: Natural = 0
    """How many devices, drawn by the run's seed."""
    devices: tuple[Natural, ...] = ()
    """Which devices, by number; instead of `count`."""
    worker: str = "honest"
    """Behaviour as worker (`fedstake list behaviours`)."""
    worker_params: Parameters = {}
    """Parameters of that behaviour."""
    validator: str = "honest"
    """Behaviour as validator."""
    validator_params: Parameters = {}
    """Parameters of that behaviour."""
    miner: str = "honest"
    """Behaviour as miner."""
    miner_params: Parameters = {}
    """Parameters of that behaviour."""

    from_round: Count = 1
    """First round in which the group deviates: sleepers behave until then."""
    until_round: Natural = 0
    """Last round in which it deviates; 0: for ever."""
    identities: Literal["own", "split", "duplicate"] = "own"
    """Sybils: one operator's samples are split among all members, or copied to all, and its stake is split."""
    damage_benefit: NonNegative = 0.0
    """What a round is worth to each member beside its income, in base units times the error of the global model."""

    presence: Probability = 1.0
    """Churners: probability that a member takes part in a round."""
    spares: Natural = 0
    """Whitewashers: so many of the group's identities wait, and take the place of members that are shut out or slashed; they
    join at the start, hold the samples of the others and share their money."""
    bribe: Amount = 0
    """What a member pays a validator for a positive vote, at most, out of what it held at the start."""
    strategies: tuple[StrategySettings, ...] = ()
    """Rational devices: what each may play as worker, instead of `worker`: `[[adversaries.strategies]]`."""
    learner: str = "bandit"
    """How they choose among `strategies` (`fedstake list behaviours`)."""
    learner_params: Parameters = {}
    """Parameters of the learner."""

    @property
    def size(self) -> int:
        return len(self.devices) or self.count


class CostSettings(Settings):
    """What work costs the device that does it; not paid to anybody, but part of its utility."""

    compute_per_s: NonNegative = 0.0
    """Base units per simulated second of training and evaluating."""
    concede: Amount = 0
    """What a worker of no group pays a validator that threatens to vote against it, at most, out of what it held at the start."""


class RecordSettings(Settings):
    """Logs that cost time."""

    epoch_accuracy: StrictBool = False
    """Test accuracy of every worker after every local epoch (table `epochs`)."""
    local_accuracy: StrictBool = False
    """Test accuracy of every submitted update (column `local_accuracy` of `participants`)."""
    tape: StrictBool = False
    """Everything that payout rules could observe, all updates included (tables `tape` and `opening`): what
    `fedstake compare` replays. Held in memory until the run ends: 4 bytes x parameters x updates."""


class PrivacySettings(Settings):
    """What others learn of a device's update."""

    secure_aggregation: StrictBool = False
    """Nobody sees a single update, only their sum: whatever needs single updates is refused."""
    clip: NonNegative = 0.0
    """Largest L2 norm of the change that a worker sends; 0: any."""
    noise: Annotated[Finite, Field(ge=0, le=1e6)] = 0.0
    """Standard deviation of the Gaussian noise on each coordinate of the clipped change, in units of `clip`; 0: none."""
    delta: Annotated[Finite, Field(gt=0, lt=1)] = 1e-5
    """Probability at which the epsilon in table `participants` is stated."""


class StorageSettings(Settings):
    """Where updates live: inside the chain's blocks, or in a store beside it."""

    kind: Literal["chain", "off-chain"] = "chain"
    """Updates travel inside transactions and blocks; or these carry digests, and who needs an update fetches it."""
    latency_s: NonNegative = 0.0
    """Seconds per request to the store, beside the bytes (off-chain)."""
    bytes_per_s: Annotated[Finite, Field(ge=1)] = 1_000_000.0
    """Speed at which the store serves one request; the device's link may be slower (off-chain)."""
    availability: Probability = 1.0
    """Probability that a validator's request finds the update; one that does not is not judged by it (off-chain)."""
    cost_per_mb: NonNegative = 0.0
    """Base units per 10^6 bytes that a worker stores; not paid to anybody, but part of its utility (off-chain)."""


class RegistrySettings(Settings):
    """Which models are released, by whom, and when an older one comes back."""

    publishers: tuple[Natural, ...] = ()
    """Only these devices may publish a version: blocks of other miners are refused by everybody; empty: everybody may."""
    rollback_drop: Probability = 0.0
    """A new model that is worse than the best kept version by more than this accuracy (held-out samples) is undone; 0: never."""
    keep: Annotated[Count, Field(le=1_000)] = 5
    """How many of the last versions may come back."""
    record: StrictBool = False
    """Write table `versions`; a scenario that rolls back always does."""

    @property
    def on(self) -> bool:
        """Whether versions are kept at all."""
        return self.record or self.rollback_drop > 0
