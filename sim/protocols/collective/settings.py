"""The keys of a collective economy: every one, its type, its bounds and what it means."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Mapping, Sequence
from itertools import accumulate
from typing import Annotated, Any, Literal

from pydantic import Field, StrictBool

from agents import registries as behaviours
from mechanisms import registries as rules
from mechanisms.payouts.base import PayoutRule
from mechanisms.split import part
from sim.conditions import when_any
from sim.keys import Chosen, SettingError, within
from sim.labelling.settings import LabellingSettings
from sim.population.groups import roles_of
from sim.protocols.collective.funding import ANNOTATORS, CONTRIBUTORS, ENGINEERS, POOLS, Funded
from sim.referenda.settings import ReferendaSettings
from sim.settings import (
    HONEST,
    Amount,
    Count,
    Finite,
    Natural,
    NonNegative,
    Parameters,
    Probability,
    Settings,
)
from sim.training.scenario import TrainingScenario
from sim.training.settings import (
    PayoutSettings,
    ServerDeadlineSettings,
    VersionSettings,
    WorkerGroup,
)

CONTRIBUTOR, ENGINEER, ANNOTATOR = "contributor", "engineer", "annotator"
CLIENT, CREATOR = "client", "creator"
"""What a device of each party is called."""
HAS_ENGINEERS = when_any("parties.engineers")
HAS_CLIENTS = when_any("parties.clients")
ROUNDING = 1e-9
"""Shares that are written with a few decimals sum to 1 within this."""


class PartySettings(Settings):
    """How many devices each party has; they are numbered in this order, the creator is the last."""

    contributors: Count = 10
    """Data contributors: they hold samples, and train on them."""
    engineers: Natural = 3
    """Model engineers: they download the master model, train it on public samples, and submit
    versions of it.
    """
    annotators: Natural = 3
    """Data annotators: they answer questions about public samples whose labels are not known."""
    clients: Natural = 3
    """Clients: they buy licences to use the model."""

    @property
    def devices(self) -> dict[str, range]:
        """The devices of each party, by what one of them is called."""
        sizes = {
            CONTRIBUTOR: self.contributors,
            ENGINEER: self.engineers,
            ANNOTATOR: self.annotators,
            CLIENT: self.clients,
            CREATOR: 1,
        }
        ends = list(accumulate(sizes.values()))
        return {
            party: range(end - size, end)
            for (party, size), end in zip(sizes.items(), ends, strict=True)
        }


class PoolSettings(Settings):
    """What the creator stakes, and how it is divided among the parties."""

    stake: Amount = 200_000
    """Base units that the creator stakes; it holds them at the start beside its balance."""
    contributors: Probability = 0.5
    """Share of the data contributors: the pool of `payout.mechanism`. It gets what rounding leaves
    of the others; the three shares sum to 1.
    """
    engineers: Probability = 0.3
    """Share of the model engineers."""
    annotators: Probability = 0.2
    """Share of the data annotators."""
    top_up: Probability = 0.0
    """Share of charges, licence fees and fines that tops up the pools of engineers and annotators,
    in proportion of their shares; the creator gets the rest, and what rounding leaves.
    """
    expires: Natural = 0
    """Round after which what is left of the pools of engineers and annotators goes back to the
    creator; 0: the last one. The payout rule says when the contributors' pool ends.
    """

    @property
    def amounts(self) -> dict[str, int]:
        """Base units by party; together they are the stake."""
        others = {
            ENGINEERS: part(self.stake, self.engineers),
            ANNOTATORS: part(self.stake, self.annotators),
        }
        return {CONTRIBUTORS: self.stake - sum(others.values()), **others}

    def check(self) -> None:
        """Raise `SettingError`, with a key relative to the table, unless the shares sum to 1."""
        total = self.contributors + self.engineers + self.annotators
        if abs(total - 1) > ROUNDING:
            expected = f"contributors + engineers + annotators must be 1, not {total:g}"
            raise SettingError("contributors", self.contributors, expected)


class EngineerSettings(Settings):
    """What model engineers work with, and what it costs them."""

    charge: Annotated[Amount, HAS_ENGINEERS] = 0
    """Base units for a download of the master model, which every version begins with."""
    epochs: Annotated[Count, Field(le=10_000), HAS_ENGINEERS] = 1
    """Passes over the public samples that an honest engineer makes."""
    public: Annotated[
        Finite, Field(ge=0, le=0.5), when_any("parties.engineers", "parties.annotators")
    ] = 0.1
    """Share of the training samples that is public: it is dealt to no contributor, and engineers
    train on what of it has a label.
    """
    labelled: Annotated[Probability, when_any("parties.annotators")] = 0.5
    """Share of the public samples whose labels are known from the start; annotators are asked for
    the others. Without annotators all are known.
    """


class MembershipSettings(Settings):
    """A change of the collective's members."""

    round: Count
    """Before the votes of which it happens."""
    device: Natural
    """Who joins or leaves."""
    joins: StrictBool = True
    """Whether it joins (`addCollectiveMember`), or is removed."""


class ApprovalSettings(Settings):
    """Who approves the versions of engineers, and how."""

    rule: Annotated[str, Chosen(rules.approval), HAS_ENGINEERS] = "m-of-n"
    """When a version replaces the master model, and what its author gets (`fedstake list
    "approval rules"`).
    """
    params: Annotated[Parameters, HAS_ENGINEERS] = {}
    """Parameters of that rule."""
    members: Annotated[Count, HAS_ENGINEERS] = 3
    """How many members the collective has at the start: devices 0, 1, ..."""
    test_samples: Annotated[Natural, HAS_ENGINEERS] = 0
    """Held-out samples, at most, that a member tests a version on, drawn for each member and round;
    0: all.
    """
    changes: Annotated[tuple[MembershipSettings, ...], HAS_ENGINEERS] = ()
    """Members that join or leave later: `[[approval.changes]]`."""


class JurisdictionSettings(Settings):
    """Where clients pay a fee of their own."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9-]{0,39}$")]
    """Its name."""
    fee: Amount
    """Base units for a licence there."""


class LicenceSettings(Settings):
    """What a licence to use the model costs, and who is made to pay."""

    rule: Annotated[str, Chosen(rules.licensing), HAS_CLIENTS] = "enforced"
    """What an offer gets, and who is audited (`fedstake list "licensing rules"`)."""
    params: Annotated[Parameters, HAS_CLIENTS] = {}
    """Parameters of that rule."""
    usage: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9-]{0,39}$"), HAS_CLIENTS] = (
        "commercial"
    )
    """Type of usage that the licence allows."""
    fee: Annotated[Amount, HAS_CLIENTS] = 1_000
    """Base units for a licence, where no jurisdiction has a fee of its own."""
    jurisdictions: Annotated[tuple[JurisdictionSettings, ...], HAS_CLIENTS] = ()
    """Fees by jurisdiction, `[[licences.jurisdictions]]` with `name` and `fee`: clients are
    dealt to them in turn; none: all pay `fee`.
    """
    rounds: Annotated[Count, HAS_CLIENTS] = 10
    """Rounds that a licence lasts, the one of its purchase included."""


class ClientSettings(Settings):
    """What the model is worth to clients."""

    balance: Annotated[Amount, HAS_CLIENTS] = 100_000
    """Base units that each client holds at the start beside `payout.initial_balance`."""
    value: Annotated[NonNegative, HAS_CLIENTS] = 2_000.0
    """Base units that a licence of a model without errors is worth to a client, on average; it is
    worth so many times the model's accuracy.
    """
    spread: Annotated[Probability, HAS_CLIENTS] = 0.5
    """Each client has a value of its own: 1 - spread to 1 + spread times the mean, drawn once."""


class CollectiveGroup(WorkerGroup):
    """Devices that deviate, in one role or several, drawn at random (`count`) or named (`devices`).

    They are drawn among those that have a role in which the group deviates.
    """

    engineer: Annotated[str, Chosen(behaviours.engineers, "engineer_params")] = HONEST
    """Behaviour as model engineer (`fedstake list engineers`)."""
    engineer_params: Parameters = {}
    """Parameters of that behaviour."""
    member: Annotated[str, Chosen(behaviours.members, "member_params")] = HONEST
    """Behaviour as member of the collective (`fedstake list members`)."""
    member_params: Parameters = {}
    """Parameters of that behaviour."""
    annotator: Annotated[str, Chosen(behaviours.annotators, "annotator_params")] = HONEST
    """Behaviour as data annotator (`fedstake list annotators`)."""
    annotator_params: Parameters = {}
    """Parameters of that behaviour."""
    voter: Annotated[str, Chosen(behaviours.voters, "voter_params")] = HONEST
    """Behaviour as voter in referenda (`fedstake list voters`)."""
    voter_params: Parameters = {}
    """Parameters of that behaviour."""
    client: Annotated[str, Chosen(behaviours.clients, "client_params")] = HONEST
    """Behaviour as client (`fedstake list clients`)."""
    client_params: Parameters = {}
    """Parameters of that behaviour."""


class CollectivePayoutSettings(PayoutSettings):
    """What contributors are paid, in which asset."""

    mechanism: Annotated[str, Chosen(rules.payouts)] = "decentralml"
    """Payout rule (`fedstake list mechanisms`): one that pays out of a pool, which is
    `pools.contributors` of the stake and never given as `pool` here.
    """
    params: Parameters = {}
    """Parameters of the rule."""


def small_labelling() -> LabellingSettings:
    """Return tasks that a few annotators can answer, and the pool of the defaults can pay."""
    return LabellingSettings(tasks=1, questions=10, places=3, unit=30)


class CollectiveReferendaSettings(ReferendaSettings):
    """Who decides about parameters, how, where, and how long it takes."""

    electorate: Annotated[
        Literal["everybody", "members"], when_any("proposals", wanted="given")
    ] = "everybody"
    """Who votes: every device, or the members of the collective alone."""


class CollectiveScenario(TrainingScenario):
    """A run of a collective economy."""

    parties: PartySettings = Field(default_factory=PartySettings)
    pools: PoolSettings = Field(default_factory=PoolSettings)
    engineers: EngineerSettings = Field(default_factory=EngineerSettings)
    approval: ApprovalSettings = Field(default_factory=ApprovalSettings)
    labelling: LabellingSettings = Field(default_factory=small_labelling)
    licences: LicenceSettings = Field(default_factory=LicenceSettings)
    referenda: CollectiveReferendaSettings = Field(default_factory=CollectiveReferendaSettings)
    clients: ClientSettings = Field(default_factory=ClientSettings)
    adversaries: tuple[CollectiveGroup, ...] = ()
    payout: CollectivePayoutSettings = Field(default_factory=CollectivePayoutSettings)
    deadlines: ServerDeadlineSettings = Field(default_factory=ServerDeadlineSettings)
    versions: VersionSettings = Field(default_factory=lambda: VersionSettings(record=True))

    @property
    def creator(self) -> int:
        """The device of the model's creator."""
        return self.devices - 1

    def party(self, device: int) -> str:
        """Return which party a device belongs to."""
        return next(party for party, devices in self.parties.devices.items() if device in devices)

    def players(self, role: str) -> Collection[int]:
        """Return the devices that can have a role, by the key of a group's behaviour in it."""
        changes = {change.device for change in self.approval.changes if change.joins}
        of = self.parties.devices
        members = {*range(self.approval.members), *changes}
        alone = self.referenda.electorate == "members"
        return {
            "worker": of[CONTRIBUTOR],
            "engineer": of[ENGINEER],
            "member": members,
            "client": of[CLIENT],
            "annotator": of[ANNOTATOR],
            "voter": members if alone else range(self.devices),
        }[role]

    def drawn_from(self, group: Any) -> Sequence[int]:
        """Return the devices that play a role in which a group deviates; all, where in none."""
        deviating = [role for role in roles_of(type(group)) if getattr(group, role) != HONEST]
        deviating += roles_of(type(group.strategies[0])) if group.strategies else ()
        if not deviating:
            return super().drawn_from(group)
        among = [self.players(role) for role in deviating]
        return [d for d in range(self.devices) if any(d in players for players in among)]

    @property
    def trainers(self) -> Sequence[int]:
        return self.parties.devices[CONTRIBUTOR]

    @property
    def readers(self) -> Sequence[int]:
        return self.parties.devices[ENGINEER]

    def trains_as(self, device: int) -> str:
        return "engineer" if device in self.readers else "worker"

    @property
    def public_fraction(self) -> float:
        reads = self.parties.engineers or self.parties.annotators
        return self.engineers.public if reads else 0.0

    @property
    def labelled_fraction(self) -> float:
        """Share of the public samples whose labels are known from the start."""
        return self.engineers.labelled if self.parties.annotators else 1.0

    @property
    def endowments(self) -> Mapping[int, int]:
        clients = dict.fromkeys(self.parties.devices[CLIENT], self.clients.balance)
        return {**clients, self.creator: self.pools.stake}

    def base_rule(self) -> PayoutRule:
        params = {**self.payout.params, "pool": self.pools.amounts[CONTRIBUTORS]}
        rule = rules.payouts.create(self.payout.mechanism, params)
        others = {account: self.pools.amounts[party] for party, account in POOLS.items()}
        return Funded(rule, others, self.creator)

    # --- checks -------------------------------------------------------------------------------

    def check(self) -> None:
        self._check_parties()
        self._check_pools()
        super().check()
        self._check_drawn()
        self._check_referenda()
        if self.record.tape:
            expected = (
                "false: a tape holds the blocks of contributors alone; compare rules by a sweep"
            )
            raise SettingError("record.tape", True, expected)
        if not self.versions.on:
            expected = "true: a collective keeps all versions of its master model"
            raise SettingError("versions.record", False, expected)

    def _check_referenda(self) -> None:
        with within("referenda"):
            self.referenda.check(self.devices)
        if self.referenda.electorate == "members" and not self.parties.engineers:
            expected = "needs members: parties.engineers above 0"
            raise SettingError("referenda.electorate", self.referenda.electorate, expected)

    def _check_parties(self) -> None:
        total = sum(map(len, self.parties.devices.values()))
        if self.devices != total:
            expected = f"the parties and the creator together are {total}"
            raise SettingError("devices", self.devices, expected)
        if not self.parties.annotators and self.labelling != small_labelling():
            expected = "acts only where parties.annotators is above 0"
            raise SettingError("labelling", self.labelling.model_dump(), expected)
        if self.approval.members > self.devices:
            expected = f"there are only {self.devices} devices"
            raise SettingError("approval.members", self.approval.members, expected)
        for i, change in enumerate(self.approval.changes):
            if change.device >= self.devices:
                raise SettingError(f"approval.changes.{i}.device", change.device, self.numbered)
        names = [jurisdiction.name for jurisdiction in self.licences.jurisdictions]
        for i, name in enumerate(names):
            if name in names[:i]:
                raise SettingError(f"licences.jurisdictions.{i}.name", name, "is there already")

    def _check_drawn(self) -> None:
        """Refuse groups of which more members are to be drawn than can be, whoever is drawn."""
        named = {device for group in self.adversaries for device in group.devices}
        among = [{*self.drawn_from(group)} - named for group in self.adversaries]
        for i, group in enumerate(self.adversaries):
            before = zip(self.adversaries[:i], among, strict=False)
            rivals = sum(min(g.count, len(theirs & among[i])) for g, theirs in before)
            if group.count > len(among[i]) - rivals:
                expected = (
                    f"at most {max(0, len(among[i]) - rivals)} can be drawn that play such a role"
                )
                raise SettingError(f"adversaries.{i}.count", group.count, expected)

    def _check_pools(self) -> None:
        """Refuse shares that are not all of the stake, and rules that have no pool or another."""
        with within("pools"):
            self.pools.check()
        rule = rules.payouts.get(self.payout.mechanism)
        own = {field.name: field.default for field in dataclasses.fields(rule.Params)}
        if "pool" not in own:
            expected = "must pay out of a pool, as decentralml and equal-share do"
            raise SettingError("payout.mechanism", self.payout.mechanism, expected)
        for name in own.keys() & {"pool", *self.pools.amounts}:
            self._check_default(name, self.payout.params[name], own[name])

    def _check_default(self, name: str, value: Any, default: Any) -> None:
        """Refuse a parameter of the payout rule that the table `pools` decides."""
        if value != default:
            instead = "pools.stake and pools.contributors" if name == "pool" else f"pools.{name}"
            raise SettingError(f"payout.params.{name}", value, f"is decided by {instead}: drop it")
