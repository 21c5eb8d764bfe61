"""The keys and checks that all scenarios share that train models."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from pydantic import Field

from agents import registries as behaviours
from agents.workers.base import WorkerBehaviour
from mechanisms import registries as rules
from mechanisms.combined import Combined
from mechanisms.payouts.base import PayoutRule
from sim.data.folder import content_digest, data_folder
from sim.keys import SettingError, within
from sim.money.ledger import MAX_AMOUNT
from sim.money.payments import checked
from sim.privacy import INSTALL, accountant_installed
from sim.scenario import Scenario
from sim.settings import HONEST, AvailabilitySettings, DataSettings, LinkSettings
from sim.training.secrecy import needs_single_updates
from sim.training.settings import (
    AggregationSettings,
    CostSettings,
    ModelSettings,
    PayoutSettings,
    PrivacySettings,
    RecordSettings,
    SignatureSettings,
    TrainingSettings,
    VersionSettings,
    WorkerGroup,
)

LEAST_NOISE = 1e-3
"""Noise multipliers below protect nothing, and their epsilon is beyond what an accountant can
state.
"""
KNOWN_TO = {"conduct": "coordinator", "wallets": "poc"}
"""What only the contract of one protocol of the house knows, and of which."""


class TrainingScenario(Scenario):
    """What every protocol that trains has beside the common keys."""

    data: DataSettings = Field(default_factory=DataSettings)
    model: ModelSettings = Field(default_factory=ModelSettings)
    training: TrainingSettings = Field(default_factory=TrainingSettings)
    aggregation: AggregationSettings = Field(default_factory=AggregationSettings)
    payout: PayoutSettings = Field(default_factory=PayoutSettings)
    chain: SignatureSettings = Field(default_factory=SignatureSettings)
    network: LinkSettings = Field(default_factory=LinkSettings)
    availability: AvailabilitySettings = Field(default_factory=AvailabilitySettings)
    adversaries: tuple[WorkerGroup, ...] = ()
    costs: CostSettings = Field(default_factory=CostSettings)
    privacy: PrivacySettings = Field(default_factory=PrivacySettings)
    versions: VersionSettings = Field(default_factory=VersionSettings)
    record: RecordSettings = Field(default_factory=RecordSettings)

    contract_knows: ClassVar[frozenset[str]] = frozenset()
    """What rules can observe here that only some protocols' contracts know: "conduct", who kept to
    the rules of a round; "wallets", who asked to be paid.
    """

    def contents(self, data: Path | None = None) -> dict[str, str]:
        """Return the SHA-256 of the samples, where the data set is not a shipped one."""
        chosen = self.data
        digest = content_digest(chosen.dataset, chosen.params, data_folder(data))
        return {"data.dataset": digest} if digest else {}

    @property
    def trainers(self) -> Sequence[int]:
        """The devices that hold samples and train: all of them, where nothing else is said."""
        return range(self.devices)

    @property
    def endowments(self) -> Mapping[int, int]:
        """Base units by device that it holds at the start beside the initial balance."""
        return {}

    @property
    def readers(self) -> Sequence[int]:
        """The devices that train on the public samples beside the rounds."""
        return ()

    def trains_as(self, device: int) -> str:
        """Return the role in which a device trains, by the key of a group's behaviour in it."""
        return "worker"

    @property
    def public_fraction(self) -> float:
        """Share of the training samples that is dealt to nobody, and known to everybody."""
        return 0.0

    @property
    def commits(self) -> bool:
        """Whether workers commit to their updates before they show them."""
        return False

    def validation_samples(self) -> tuple[str, str]:
        """Return which samples validators judge with, and how they hold them."""
        return "holdout", "shared"

    def stated_rules(self) -> dict[str, Any]:
        """Return the rules that a worker may know, by kind, with their parameters."""
        return {
            "validation": {"rule": "", "params": {}},
            "aggregation": {"rule": self.aggregation.rule, "params": self.aggregation.params},
            "payout": {"rule": self.payout.mechanism, "params": self.payout.params},
        }

    def payout_rule(self) -> PayoutRule:
        """Return the payout rule with its parts around it."""
        rule = self.base_rule()
        parts = [rules.parts.create(p.part, p.params) for p in self.payout.parts]
        return Combined(rule, parts) if parts else rule

    def base_rule(self) -> PayoutRule:
        """Return the payout rule without its parts."""
        rule: PayoutRule = rules.payouts.create(self.payout.mechanism, self.payout.params)
        return rule

    @property
    def spares(self) -> int:
        """How many identities wait for the place of another at the start."""
        return sum(group.spares for group in self.adversaries)

    # --- checks -------------------------------------------------------------------------------

    def check(self) -> None:
        super().check()
        self._check_behaviours()
        self._check_commitments()
        self._check_held_out()
        self._check_contract()
        self._check_parts()
        self._check_privacy()
        self._check_supply()
        for i, outage in enumerate(self.availability.outages):
            with within(f"availability.outages.{i}"):
                outage.check(self.devices)

    def _check_behaviours(self) -> None:
        for i, group in enumerate(self.adversaries):
            place = f"adversaries.{i}"
            if group.strategies and group.worker != HONEST:
                expected = "give either worker or strategies, not both"
                raise SettingError(f"{place}.worker", group.worker, expected)
            if group.spares and group.spares >= group.size:
                expected = f"below the size of the group, {group.size}"
                raise SettingError(f"{place}.spares", group.spares, expected)
            for j, strategy in enumerate(group.strategies):
                behaviour = behaviours.workers.get(strategy.worker)
                if behaviour.poison is not WorkerBehaviour.poison:  # type: ignore[attr-defined]
                    expected = "poisons data before the run; it cannot be one of several"
                    raise SettingError(f"{place}.strategies.{j}.worker", strategy.worker, expected)

    def _check_commitments(self) -> None:
        """Refuse behaviours that break commitments where nobody commits."""
        if self.commits:
            return
        for choice in self.choices():
            if choice.registry is behaviours.workers and choice.create().breaks_commitments:
                expected = (
                    "breaks a commitment, and nobody commits here: it needs protocol = "
                    "'coordinator' with coordinator.commit_reveal"
                )
                raise SettingError(choice.key, choice.name, expected)

    def _held_out(self) -> bool:
        """Return whether samples are held out from training."""
        source, _ = self.validation_samples()
        return self.data.validation_fraction > 0 and source == "holdout"

    def _check_held_out(self) -> None:
        if self._held_out():
            return
        needs = "needs held-out samples: data.validation_fraction above 0"
        source, _ = self.validation_samples()
        if source != "holdout":
            needs += " and data.validation_source holdout"
        aggregation = rules.aggregators.create(self.aggregation.rule, self.aggregation.params)
        if "root" in aggregation.observes:
            raise SettingError("aggregation.rule", self.aggregation.rule, needs)
        if "utility" in self.payout_rule().observes:
            raise SettingError("payout.mechanism", self.payout.mechanism, needs)
        if self.versions.rollback_drop:
            raise SettingError("versions.rollback_drop", self.versions.rollback_drop, needs)
        for choice in self.choices():
            if choice.registry is not behaviours.workers or source != "holdout":
                continue
            if "validation" in choice.create().knows:
                raise SettingError(choice.key, choice.name, needs)

    def _check_contract(self) -> None:
        """Refuse rules that observe what no contract knows here."""
        for choice in self.choices():
            if choice.registry not in (rules.payouts, rules.parts):
                continue
            for name in sorted(choice.create().observes & KNOWN_TO.keys() - self.contract_knows):
                needs = (
                    f"needs protocol = '{KNOWN_TO[name]}': it observes {name}, which no contract "
                    "knows here"
                )
                raise SettingError(choice.key, choice.name, needs)

    def _check_supply(self) -> None:
        """Refuse more money at the start than a supply can be, pools of the rule included."""
        devices = self.devices
        pools = sum(checked(self.payout_rule(), devices).accounts().values())
        pools += sum(self.endowments.values())
        most, balance = max(0, MAX_AMOUNT - pools) // devices, self.payout.initial_balance
        if pools > MAX_AMOUNT:
            expected = f"holds {pools:,} at the start: a supply is at most {MAX_AMOUNT:,}"
            raise SettingError("payout.params", self.payout.params, expected)
        if balance > most:
            expected = (
                f"at most {most:,} for {devices} devices beside the {pools:,} that accounts of "
                f"the payout rule hold: a supply is at most {MAX_AMOUNT:,}"
            )
            raise SettingError("payout.initial_balance", balance, expected)
        issued = self.payout_rule().most_issued(devices)
        held = pools + balance * devices
        if issued is not None and held + self.rounds * issued > MAX_AMOUNT:
            expected = (
                f"can issue {issued:,} base units a round, in {self.rounds:,} rounds more than a "
                f"supply can hold: at most {MAX_AMOUNT:,} with the {held:,} of the start"
            )
            raise SettingError("payout.params", self.payout.params, expected)

    def _check_parts(self) -> None:
        names = [p.part for p in self.payout.parts]
        inside = [p.name for p in getattr(self.base_rule(), "parts", ())]
        for i, name in enumerate(names):
            if name in names[:i] or name in inside:
                expected = "is there already: every part once"
                raise SettingError(f"payout.parts.{i}.part", name, expected)

    def _check_privacy(self) -> None:
        p = self.privacy
        if 0 < p.noise < LEAST_NOISE:
            raise SettingError("privacy.noise", p.noise, f"0 for none, or at least {LEAST_NOISE:g}")
        if p.noise and not p.clip:
            expected = "is in units of privacy.clip, which must be above 0"
            raise SettingError("privacy.noise", p.noise, expected)
        if p.noise and not accountant_installed():
            expected = f"needs dp-accounting to state epsilon: {INSTALL}"
            raise SettingError("privacy.noise", p.noise, expected)
        if p.secure_aggregation:
            self.check_secrecy()

    def check_secrecy(self) -> None:
        """Refuse plug-ins that need more than the sum of the updates; protocols add their own."""
        for choice in self.choices():
            reason = needs_single_updates(choice)
            if reason:
                raise SettingError(choice.key, choice.name, reason)
