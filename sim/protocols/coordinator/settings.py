"""The keys of a coordinated round: every one, its type, its bounds and what it means."""

from __future__ import annotations

import math
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, StrictBool

from agents import registries as behaviours
from mechanisms import registries as rules
from sim.conditions import Lookup, When, when, when_any
from sim.keys import Chosen, SettingError
from sim.settings import (
    EACH_ROUND,
    HONEST,
    Deadline,
    Natural,
    NonNegative,
    Parameters,
    Probability,
    Settings,
)
from sim.training.scenario import TrainingScenario
from sim.training.secrecy import HIDES
from sim.training.settings import VotingCostSettings, VotingGroup


class CoordinatorSettings(Settings):
    """The round of an on-chain coordinator (`protocol = "coordinator"`)."""

    verifier: Annotated[str, Chosen(rules.verifiers)] = "committee"
    """How updates are found genuine or not (`fedstake list verifiers`)."""
    params: Parameters = {}
    """Parameters of the verifier."""
    commit_reveal: StrictBool = True
    """Workers commit to a salted hash first and reveal later, so that nobody can copy what others
    send.
    """
    submission_s: Deadline = math.inf
    """Commitments that arrive later than this after the round's start are refused; inf waits for
    everybody who is there.
    """
    reveal_s: Annotated[Deadline, when("commit_reveal", True)] = 3_600.0
    """Reveals that arrive later than this after the end of submissions are refused (the guide: one
    hour).
    """
    aggregator: Literal["organisation", "fixed", "stake"] = "stake"
    """Who aggregates: the organisation itself, one permissioned device, or a bonded device drawn by
    stake for each round.
    """
    aggregator_device: Annotated[Natural, when("aggregator", "fixed")] = 0
    """The permissioned device (fixed)."""
    challenge_s: Annotated[NonNegative, when("aggregator", "fixed", "stake"), EACH_ROUND] = 60.0
    """Length of the window in which members may dispute an aggregate."""
    watch: Annotated[Probability, when("aggregator", "fixed", "stake")] = 0.2
    """Probability that a member recomputes the aggregate in that window."""
    watch_s: Annotated[NonNegative, when("aggregator", "fixed", "stake"), when_any("watch")] = 1.0
    """Seconds of computing that this costs it."""


def _has_committee(of: Lookup) -> bool:
    """Return whether the verifier is a committee, whose members vote."""
    name, params = of("coordinator.verifier"), of("coordinator.params")
    return bool(rules.verifiers.create(name, params).committee)


class CoordinatedGroup(VotingGroup):
    """Devices that deviate as workers, members of the committee or aggregators.

    They are drawn at random (`count`) or named (`devices`).
    """

    validator: Annotated[
        str,
        Chosen(behaviours.validators, "validator_params"),
        When(("coordinator.verifier",), _has_committee, "one with a committee"),
    ] = HONEST
    """Behaviour as member of the committee."""
    miner: Annotated[
        str,
        Chosen(behaviours.miners, "miner_params"),
        when("coordinator.aggregator", "fixed", "stake"),
    ] = HONEST
    """Behaviour as aggregator."""


class CoordinatorScenario(TrainingScenario):
    """A run under an on-chain coordinator."""

    contract_knows: ClassVar[frozenset[str]] = frozenset({"conduct"})

    coordinator: CoordinatorSettings = Field(default_factory=CoordinatorSettings)
    adversaries: tuple[CoordinatedGroup, ...] = ()
    costs: VotingCostSettings = Field(default_factory=VotingCostSettings)

    @property
    def commits(self) -> bool:
        return self.coordinator.commit_reveal

    def stated_rules(self) -> dict[str, Any]:
        verifier = {"rule": self.coordinator.verifier, "params": self.coordinator.params}
        return super().stated_rules() | {"validation": verifier}

    # --- checks -------------------------------------------------------------------------------

    def check(self) -> None:
        super().check()
        self._check_seats()

    def _check_seats(self) -> None:
        device = self.coordinator.aggregator_device
        if self.coordinator.aggregator == "fixed" and device >= self.devices:
            raise SettingError("coordinator.aggregator_device", device, self.numbered)
        verifier = rules.verifiers.create(self.coordinator.verifier, self.coordinator.params)
        seats = verifier.committee
        if self.devices - self.spares < seats + 2:
            beside = f" beside {self.spares} spare identities" if self.spares else ""
            expected = (
                "a coordinated round needs an aggregator, a worker and a committee of "
                f"{seats}: at least {seats + 2}{beside}"
            )
            raise SettingError("devices", self.devices, expected)

    def check_secrecy(self) -> None:
        super().check_secrecy()
        if self.coordinator.aggregator != "organisation":
            expected = (
                f"is checked by recomputing from single updates, which {HIDES}; "
                "let the organisation aggregate"
            )
            raise SettingError("coordinator.aggregator", self.coordinator.aggregator, expected)
