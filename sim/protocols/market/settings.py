"""The keys of a data market: every one, its type, its bounds and what it means."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import Field, StrictBool

from agents import registries as behaviours
from mechanisms import answers
from mechanisms import registries as rules
from sim.conditions import when, when_any
from sim.data import datasets
from sim.data.folder import content_digest, data_folder
from sim.keys import Chosen, SettingError
from sim.money.ledger import MAX_AMOUNT
from sim.online import online_models
from sim.protocols.market.recorded import file_digest
from sim.scenario import Scenario
from sim.settings import (
    HONEST,
    Amount,
    Finite,
    MoneySettings,
    Natural,
    NonNegative,
    Parameters,
    RationalGroup,
    Settings,
)

Seconds = Annotated[Finite, Field(gt=0, le=1e9)]


class MarketDataSettings(Settings):
    """Which samples are offered, and which of them the model knows at the start."""

    dataset: Annotated[str, Chosen(datasets)] = "digits"
    """Data set by name (`fedstake list datasets`) or `path/to/file.py:ClassName`."""
    params: Parameters = {}
    """Parameters of the data set."""
    initial: Annotated[int, Field(ge=1, strict=True)] = 100
    """So many of the first training samples fit the model before the market opens."""
    n: Natural = 0
    """Training samples at most, the initial ones among them, in the order of the data; 0: all."""


class HabitSettings(Settings):
    """When contributors act, and how much they are ready to pay."""

    wait_s: Seconds = 600.0
    """Mean time between two acts of a contributor, seconds."""
    wait_sd_s: NonNegative = 1.0
    """Its standard deviation, seconds; draws that are not above 0 are repeated."""
    offer: Annotated[Finite, Field(gt=0, le=1e9)] = 50.0
    """Mean of the deposit that it is ready to pay at most, tokens of 10^9 base units."""
    offer_sd: NonNegative = 10.0
    """Its standard deviation, tokens; draws that are not above 0 are repeated."""


class ContributorStrategy(Settings):
    """One of the ways in which a rational contributor may play."""

    contributor: Annotated[str, Chosen(behaviours.contributors, "contributor_params")] = HONEST
    """Behaviour (`fedstake list contributors`)."""
    contributor_params: Parameters = {}
    """Parameters of that behaviour."""


class ContributorGroup(RationalGroup):
    """Contributors with another behaviour or other habits than the rest."""

    adversary: StrictBool = True
    """Whether they count as adversaries in tables and outcomes: false for callers, and for honest
    contributors with other habits.
    """
    contributor: Annotated[str, Chosen(behaviours.contributors, "contributor_params")] = HONEST
    """Behaviour (`fedstake list contributors`)."""
    contributor_params: Parameters = {}
    """Parameters of that behaviour."""
    habits: HabitSettings = Field(default_factory=HabitSettings)
    initial_balance: Amount = 0
    """Base units that each holds at the start; 0: as everybody, `payout.initial_balance`."""
    strategies: tuple[ContributorStrategy, ...] = ()
    """Rational contributors: what each may play, instead of `contributor`:
    `[[adversaries.strategies]]`.
    """

    @property
    def deviating(self) -> bool:
        """Whether its members count as adversaries."""
        return self.adversary


class MarketMoneySettings(MoneySettings):
    """The asset, and what everybody has of it at the start."""

    initial_balance: Amount = 10_000_000_000_000
    """Base units that every contributor holds at the start; the default is 10,000 tokens."""


class MarketSettings(Settings):
    """The market: its rules, its model, and when it is measured."""

    rule: Annotated[str, Chosen(rules.markets)] = "deposit-refund-take"
    """What a datum costs, and who may claim it (`fedstake list markets`)."""
    params: Parameters = {}
    """Parameters of that rule."""
    fees: Annotated[str, Chosen(rules.prediction_fees, "fees_params")] = "free"
    """Who is paid for predictions (`fedstake list "prediction fees"`)."""
    fees_params: Parameters = {}
    """Parameters of that."""
    model: Annotated[str, Chosen(online_models, "model_params")] = "nearest-centroid"
    """What is trained (`fedstake list "online models"`)."""
    model_params: Parameters = {}
    """Parameters of the model."""
    slice_s: Annotated[Finite, Field(ge=1, le=1e9)] = 86_400.0
    """Seconds of a round. The last one goes on until the data have run out and nothing can be
    claimed any more, or until nothing was accepted or claimed for 30 days.
    """
    closes_s: NonNegative = 0.0
    """When the market takes no more data, seconds; 0: when they have run out.
    """
    first_accuracy_s: NonNegative = 10_000.0
    """When the accuracy on the hidden test set is published first, seconds; until then contributors
    know that of the initial model.
    """
    accuracy_every_s: Seconds = 200_000.0
    """Seconds from one publication to the next."""
    provider: Annotated[int, Field(ge=-1, strict=True)] = -1
    """The contributor that provides the test set which rules pay by, and the bounty of a prediction
    market out of what it holds. -1: somebody who takes no part, with the hidden test set and just
    the bounty.
    """
    as_published: StrictBool = False
    """Copies what the authors' simulator does where it is an accident: waits and deposits in whole
    seconds and tokens, which locks contributors in phase; who has spent everything leaves for good,
    with deposits still to come back; once the data have run out nothing is claimed before anybody
    may claim it.
    """
    replay_of: str = ""
    """File with acts (time_s, device, action, sample, label, offer, accuracy) to play instead of
    those that behaviours decide on: CSV, or by its ending .parquet, .json (a list of objects) or
    .jsonl (an object a line); relative to the folder of data files.
    """
    names: Annotated[tuple[str, ...], when_any("replay_of", wanted="given")] = ()
    """What that file calls the contributors, by device; empty: by number."""


class MarketRecordSettings(Settings):
    """Logs that cost time."""

    trace: StrictBool = False
    """Every act with the claims that follow it (table `trace`), as `market.replay_of` reads it."""
    features: Annotated[StrictBool, when("trace", True)] = False
    """What a contract is sent: the weights before the market opens (table `weights`) and the
    features of each sample that is offered (table `features`), for `fedstake replay --chain evm`;
    of the model `perceptron`.
    """


class MarketScenario(Scenario):
    """A run of a data market."""

    devices: Annotated[int, Field(ge=1, le=100_000, strict=True)] = 2
    """How many contributors there are, honest and not."""
    data: MarketDataSettings = Field(default_factory=MarketDataSettings)
    market: MarketSettings = Field(default_factory=MarketSettings)
    habits: HabitSettings = Field(default_factory=HabitSettings)
    payout: MarketMoneySettings = Field(default_factory=MarketMoneySettings)
    adversaries: tuple[ContributorGroup, ...] = ()
    record: MarketRecordSettings = Field(default_factory=MarketRecordSettings)

    def contents(self, data: Path | None = None) -> dict[str, str]:
        """Return the SHA-256 of samples that are not shipped, and of the acts that are replayed."""
        chosen, folder = self.data, data_folder(data)
        found = {"data.dataset": content_digest(chosen.dataset, chosen.params, folder)}
        if self.market.replay_of:
            found["market.replay_of"] = file_digest(self.market.replay_of, folder)
        return {key: digest for key, digest in found.items() if digest}

    def check(self) -> None:
        super().check()
        market = self.market
        if market.provider >= self.devices:
            raise SettingError("market.provider", market.provider, f"-1 or {self.numbered}")
        if self.data.n and self.data.n <= self.data.initial:
            expected = f"0 for all, or more than the {self.data.initial} of data.initial"
            raise SettingError("data.n", self.data.n, expected)
        if market.names and len(set(market.names)) != self.devices:
            expected = f"one name for each of the {self.devices} devices, no two the same"
            raise SettingError("market.names", list(market.names), expected)
        self._check_supply()
        for i, group in enumerate(self.adversaries):
            if group.strategies and group.contributor != HONEST:
                expected = "give either contributor or strategies, not both"
                raise SettingError(f"adversaries.{i}.contributor", group.contributor, expected)

    def _check_supply(self) -> None:
        """Refuse more money at the start than a supply can be, accounts of the rule included."""
        rule = rules.markets.create(self.market.rule, self.market.params)
        others = sum(group.size for group in self.adversaries if group.initial_balance)
        held = self.payout.initial_balance * (self.devices - others)
        held += sum(group.initial_balance * group.size for group in self.adversaries)
        held += sum(answers.amounts(rule, "accounts", rule.accounts()).values())
        if self.market.provider < 0:
            held += answers.whole(rule, "bounty", rule.bounty())
        if held > MAX_AMOUNT:
            expected = (
                f"{held:,} base units in all at the start: a supply is at most {MAX_AMOUNT:,}"
            )
            raise SettingError("payout.initial_balance", self.payout.initial_balance, expected)
