"""The keys of a collective economy: every one, its type, its bounds and what it means."""

from __future__ import annotations

import dataclasses
from collections.abc import Container, Mapping, Sequence
from typing import Annotated, Any

from pydantic import Field

from mechanisms import registries as rules
from mechanisms.payouts.base import PayoutRule
from mechanisms.split import part
from sim.keys import Chosen, SettingError, within
from sim.population.groups import roles_of
from sim.protocols.collective.funding import ANNOTATORS, CONTRIBUTORS, ENGINEERS, POOLS, Funded
from sim.settings import HONEST, Amount, Count, Parameters, Probability, Settings
from sim.training.scenario import TrainingScenario
from sim.training.settings import PayoutSettings, ServerDeadlineSettings, VersionSettings

ROUNDING = 1e-9
"""Shares that are written with a few decimals sum to 1 within this."""


class PartySettings(Settings):
    """How many devices each party has; they are numbered in this order, the creator is the last."""

    contributors: Count = 19
    """Data contributors: they hold samples, and train on them."""

    @property
    def total(self) -> int:
        """All devices, the creator's included."""
        return self.contributors + 1


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


class CollectivePayoutSettings(PayoutSettings):
    """What contributors are paid, in which asset."""

    mechanism: Annotated[str, Chosen(rules.payouts)] = "decentralml"
    """Payout rule (`fedstake list mechanisms`): one that pays out of a pool, which is
    `pools.contributors` of the stake and never given as `pool` here.
    """
    params: Parameters = {}
    """Parameters of the rule."""


class CollectiveScenario(TrainingScenario):
    """A run of a collective economy."""

    parties: PartySettings = Field(default_factory=PartySettings)
    pools: PoolSettings = Field(default_factory=PoolSettings)
    payout: CollectivePayoutSettings = Field(default_factory=CollectivePayoutSettings)
    deadlines: ServerDeadlineSettings = Field(default_factory=ServerDeadlineSettings)
    versions: VersionSettings = Field(default_factory=lambda: VersionSettings(record=True))

    @property
    def creator(self) -> int:
        """The device of the model's creator."""
        return self.devices - 1

    def party(self, device: int) -> str:
        """Return which party a device belongs to."""
        return "creator" if device == self.creator else "contributor"

    def players(self, role: str) -> Container[int]:
        """Return the devices that can have a role, by the key of a group's behaviour in it."""
        return {"worker": self.trainers}.get(role, range(self.devices))

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
        return range(self.parties.contributors)

    @property
    def endowments(self) -> Mapping[int, int]:
        return {self.creator: self.pools.stake}

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
        if self.record.tape:
            expected = (
                "false: a tape holds the blocks of contributors alone; compare rules by a sweep"
            )
            raise SettingError("record.tape", True, expected)

    def _check_parties(self) -> None:
        if self.devices != self.parties.total:
            expected = f"the parties and the creator together are {self.parties.total}"
            raise SettingError("devices", self.devices, expected)

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
