"""The keys of VBFL: every one, its type, its bounds and what it means."""

from __future__ import annotations

import math
from typing import Annotated, Any, Literal

from pydantic import Field, StrictBool

from mechanisms import answers
from mechanisms import registries as rules
from sim.conditions import when, when_any
from sim.keys import Chosen, SettingError
from sim.settings import (
    MOST_SECONDS,
    DataSettings,
    Deadline,
    Natural,
    NetworkSettings,
    Parameters,
    Settings,
    StorageSettings,
)
from sim.training.scenario import TrainingScenario
from sim.training.settings import (
    SignatureSettings,
    VersionSettings,
    VotingCostSettings,
    VotingGroup,
)

MOST_ROUTING = 10**8
"""Devices x (devices + links) of a graph: finding all its routes then takes minutes."""


class VotedDataSettings(DataSettings):
    """Which samples, how they are dealt to devices, and what validators judge with."""

    validation_holding: Literal["sharded", "shared"] = "sharded"
    """Every device holds its own part of the held-out samples, or all hold all of them."""
    validation_source: Literal["holdout", "test"] = "holdout"
    """Validators use the held-out samples or, as published, the test set that is also reported."""


class RoleSettings(Settings):
    """Who plays which role."""

    rule: Annotated[str, Chosen(rules.roles)] = "counts"
    """Role rule (`fedstake list roles`)."""
    params: Parameters = {}
    """Parameters of the rule."""


class ValidationSettings(Settings):
    """What counts as a good update, and how many validators judge it."""

    rule: Annotated[str, Chosen(rules.validators)] = "threshold"
    """Validation rule (`fedstake list validators`)."""
    params: Parameters = {}
    """Parameters of the rule."""
    committee: Natural = 0
    """Validators per update; 0 means all."""


class ConsensusSettings(Settings):
    """How a block is chosen."""

    kind: Literal["pos", "pow"] = "pos"
    """Highest stake wins, or the first to find a proof of work."""
    difficulty: Annotated[int, Field(ge=1, le=16, strict=True), when("kind", "pow")] = 2
    """Leading hexadecimal zeros (pow)."""
    tie_rule: Annotated[Literal["hash", "latest-arrival"], when("kind", "pos")] = "hash"
    """Equal stakes: lowest hash of (previous block, miner's key); or, as published, whichever block
    comes last.
    """


class ChainSettings(SignatureSettings):
    """What devices check, and what they do when chains differ."""

    check_signatures: StrictBool = True
    """Verify signatures of updates, votes and blocks, and that a block's updates are the ones
    signed for.
    """
    check_links: StrictBool = True
    """Accept a block only on top of one's own last block."""
    resync: Literal["replay", "chain-only", "off"] = "replay"
    """At a device's round start: adopt the heaviest chain with its model and rewards; the chain
    alone; or nothing.
    """
    live_model_alias: StrictBool = False
    """As published: before its first block a device's global model is the very network that it
    trains and judges with.
    """


class BlocklistSettings(Settings):
    """When a worker is shut out."""

    knock_out_rounds: Natural = 6
    """Rejected this many times in a row (0: never)."""
    lazy_rounds: Natural = 10
    """Worker without an update in the block this many times in a row (0: never); a chain cannot
    tell lazy from offline.
    """
    in_a_row: Annotated[
        Literal["rounds", "rounds-as-worker"], when_any("knock_out_rounds", "lazy_rounds")
    ] = "rounds-as-worker"
    """Consecutive rounds of the calendar (as published), or of those in which the device was a
    worker.
    """
    clock: Annotated[Literal["round", "block"], when("in_a_row", "rounds")] = "round"
    """Rounds are counted by the round's number or, as published, by the height of the block."""
    holds_roles: Annotated[StrictBool, when_any("knock_out_rounds", "lazy_rounds")] = False
    """As published: a shut-out device still draws roles."""


class DeadlineSettings(Settings):
    """When waiting ends, in seconds after the round's start; inf waits for everybody."""

    validator_s: Deadline = math.inf
    """Updates that reach a validator later are not judged."""
    miner_s: Deadline = math.inf
    """Votes that reach a miner later are not in its block."""
    block_s: Deadline = math.inf
    """Blocks that reach a miner later are not considered."""


class PublishedVersionSettings(VersionSettings):
    """Versions of the model: which are kept, who may publish, when an older one comes back."""

    publishers: tuple[Natural, ...] = ()
    """Only these devices may publish a version: blocks of other miners are refused by everybody;
    empty: everybody may.
    """


class VbflScenario(TrainingScenario):
    """A run of VBFL."""

    data: VotedDataSettings = Field(default_factory=VotedDataSettings)
    roles: RoleSettings = Field(default_factory=RoleSettings)
    validation: ValidationSettings = Field(default_factory=ValidationSettings)
    consensus: ConsensusSettings = Field(default_factory=ConsensusSettings)
    chain: ChainSettings = Field(default_factory=ChainSettings)
    blocklist: BlocklistSettings = Field(default_factory=BlocklistSettings)
    network: NetworkSettings = Field(default_factory=NetworkSettings)
    deadlines: DeadlineSettings = Field(default_factory=DeadlineSettings)
    storage: StorageSettings = Field(default_factory=StorageSettings)
    versions: PublishedVersionSettings = Field(default_factory=PublishedVersionSettings)
    adversaries: tuple[VotingGroup, ...] = ()
    costs: VotingCostSettings = Field(default_factory=VotingCostSettings)

    def validation_samples(self) -> tuple[str, str]:
        return self.data.validation_source, self.data.validation_holding

    def stated_rules(self) -> dict[str, Any]:
        validation = {"rule": self.validation.rule, "params": self.validation.params}
        return super().stated_rules() | {"validation": validation}

    # --- checks -------------------------------------------------------------------------------

    def check(self) -> None:
        super().check()
        self._check_roles()
        self._check_network()
        self._check_routes()
        self._check_difficulty()
        self._check_publishers()

    def _check_roles(self) -> None:
        rule = rules.roles.create(self.roles.rule, self.roles.params)
        minimum = answers.seats(rule, rule.minimum())
        if sum(minimum) > self.devices - self.spares:
            beside = f" beside {self.spares} spare identities" if self.spares else ""
            rule = {"roles.rule": self.roles.rule}
            params = {f"roles.params.{name}": v for name, v in self.roles.params.items()}
            asked = ", ".join(f"{key} = {value!r}" for key, value in (params or rule).items())
            expected = f"at least {sum(minimum)}{beside}, as {asked} asks for; change either"
            raise SettingError("devices", self.devices, expected)
        if self.validation.committee > minimum[1]:
            expected = f"at most {minimum[1]}, the validators always drawn"
            raise SettingError("validation.committee", self.validation.committee, expected)
        if self.data.validation_source == "holdout" and self.data.validation_fraction == 0:
            expected = "validators need samples; give a fraction in (0, 0.5]"
            raise SettingError("data.validation_fraction", 0.0, expected)

    def _check_network(self) -> None:
        net = self.network
        if net.topology == "edges" and not net.edges:
            expected = "topology 'edges' needs a list of pairs of devices"
            raise SettingError("network.edges", [], expected)
        for pair in net.edges:
            if not all(0 <= d < self.devices for d in pair) or pair[0] == pair[1]:
                expected = f"pairs of two different devices in 0..{self.devices - 1}"
                raise SettingError("network.edges", list(pair), expected)
        drawn = net.topology in ("small-world", "random-regular", "scale-free")
        if drawn and net.degree >= self.devices:
            expected = f"must be below the number of devices, {self.devices}"
            raise SettingError("network.degree", net.degree, expected)
        if net.topology == "small-world" and net.degree % 2:
            expected = "must be even: half of the neighbours on each side of the ring"
            raise SettingError("network.degree", net.degree, expected)
        if net.topology == "random-regular" and net.degree * self.devices % 2:
            expected = f"degree * devices ({self.devices}) must be even"
            raise SettingError("network.degree", net.degree, expected)

    def _check_routes(self) -> None:
        """Refuse graphs whose routes, one search from every device, would take too long."""
        net, n = self.network, self.devices
        links = {"ring": n, "star": n, "edges": len(net.edges), "scale-free": n * net.degree}
        steps = n * (n + links.get(net.topology, n * net.degree // 2))
        if net.topology != "complete" and steps > MOST_ROUTING:
            expected = (
                f"has {steps:.1e} steps of routing for {n} devices, at most {MOST_ROUTING:.0e}: "
                "give fewer devices, or fewer links by network.degree"
            )
            raise SettingError("network.topology", net.topology, expected)

    def _check_difficulty(self) -> None:
        """Refuse proofs of work that all devices together cannot do in the time of a run."""
        consensus, hashes_per_s = self.consensus, self.network.hashes_per_s * self.devices
        mean_s = self.rounds * 16.0**consensus.difficulty / hashes_per_s
        if consensus.kind == "pow" and mean_s > MOST_SECONDS:
            most = math.floor(math.log(MOST_SECONDS * hashes_per_s / self.rounds, 16))
            expected = (
                f"at most {most} for {self.rounds} rounds of {self.devices} devices with "
                f"network.hashes_per_s = {self.network.hashes_per_s:g}: a run may last "
                f"{MOST_SECONDS:.0e} simulated seconds (31 years)"
            )
            raise SettingError("consensus.difficulty", consensus.difficulty, expected)

    def _check_publishers(self) -> None:
        publishers = self.versions.publishers
        for device in publishers:
            if device >= self.devices:
                raise SettingError("versions.publishers", device, self.numbered)
        if len(set(publishers)) < len(publishers):
            raise SettingError("versions.publishers", list(publishers), "names a device twice")
