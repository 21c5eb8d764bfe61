"""A data market: its samples, model, rule and money, and the records of all accepted data."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from mechanisms import answers
from mechanisms import registries as rules
from mechanisms.failures import broken
from mechanisms.markets.base import BOUNTY, POT, MarketRule
from mechanisms.prediction_fees.base import FeeRule
from mechanisms.vocabulary import PROVIDER, Datum, Payment
from sim.data.folder import data_folder, load_dataset
from sim.kernel import Kernel
from sim.keys import SettingError
from sim.money.ledger import LedgerError, device_account
from sim.online import online_models
from sim.online.base import OnlineModel
from sim.online.samples import Samples
from sim.protocols.market.books import Books
from sim.protocols.market.open_data import OpenData
from sim.protocols.market.settings import ContributorGroup, MarketScenario

LASTING = ("next_row", "memory", "now_s", "accuracy", "next_accuracy_s", "ran_out", "progress_s")
"""Values of a market that last beyond a round, as JSON has them."""


class DataMarket:
    """What is traded and what is known of it.

    `data` are the public records of all accepted data by index, `open` those that can be claimed;
    rows `next_row..last-1` of the samples have not been offered yet. `now_s` is the time of the
    last event, `accuracy` the one that was published last.
    """

    def __init__(self, kernel: Kernel, scenario: MarketScenario) -> None:
        self.kernel, self.scenario = kernel, scenario
        chosen, settings = scenario.data, scenario.market
        folder = data_folder(kernel.data)
        self.samples = Samples(load_dataset(chosen.dataset, chosen.params, folder))
        self.first, self.last = self._rows()
        self.next_row = self.first
        self.model = self.new_model()
        self.rule: MarketRule = rules.markets.create(settings.rule, settings.params)
        self.bounty = answers.whole(self.rule, "bounty", self.rule.bounty())
        self.provider: int | str = PROVIDER if settings.provider < 0 else settings.provider
        self.fees: FeeRule = rules.prediction_fees.create(settings.fees, settings.fees_params)
        self.people = list(kernel.population)
        self.books = Books(kernel, self.samples, self._open_accounts())
        self.now_s = kernel.clock.time_s
        self.memory = self.rule.start(self.now_s)
        self.data: list[Datum] = []
        self.open = OpenData(self.rule, self.model)
        self.ran_out = False
        self.progress_s = self.now_s
        self.accuracy = self.measure()
        self.next_accuracy_s = settings.first_accuracy_s
        self.closes_s = settings.closes_s or math.inf

    # --- how it begins --------------------------------------------------------------------------

    def _rows(self) -> tuple[int, int]:
        """Return the first row that is offered, and the one after the last."""
        there, chosen = self.samples.train, self.scenario.data
        if chosen.initial >= there:
            expected = f"below {there}, the training samples of the data set"
            raise SettingError("data.initial", chosen.initial, expected)
        return chosen.initial, min(chosen.n or there, there)

    def new_model(self) -> OnlineModel:
        """Return another model as it is before the market opens."""
        settings = self.scenario.market
        model: OnlineModel = online_models.create(settings.model, settings.model_params)
        rows = np.arange(self.first)
        model.start(self.samples, rows, self.samples.y[rows])
        return model

    def _open_accounts(self) -> list[int]:
        """Open all accounts, and return what each device holds at the start."""
        held = {}
        for p in self.people:
            settings = self.kernel.population.groups[p.device].settings
            own = settings.initial_balance if isinstance(settings, ContributorGroup) else 0
            held[p.device] = own or self.scenario.payout.initial_balance
        self._check_provider(held)
        accounts = answers.amounts(self.rule, "accounts", self.rule.accounts())
        self.kernel.treasury.open(held, {POT: 0, **accounts, **self._bounty_accounts()})
        return list(held.values())

    def _check_provider(self, held: Mapping[int, int]) -> None:
        """Refuse a bounty that is more than its provider holds at the start."""
        provider = self.provider
        if isinstance(provider, int) and held[provider] < self.bounty:
            expected = (
                f"must hold the bounty of {self.bounty:,} base units at the start; it holds "
                f"{held[provider]:,} (payout.initial_balance, or that of its group)"
            )
            raise SettingError("market.provider", provider, expected)

    def _bounty_accounts(self) -> dict[str, int]:
        """Return the accounts of a bounty; who takes no part in the market holds it and no more."""
        if not self.bounty:
            return {}
        outside = self.provider == PROVIDER
        return {BOUNTY: 0, PROVIDER: self.bounty} if outside else {BOUNTY: 0}

    def set_bounty_aside(self) -> None:
        """Let the provider pay the bounty, before the first datum."""
        if self.bounty:
            payer = self.provider
            account = payer if isinstance(payer, str) else device_account(payer)
            self.kernel.treasury.move(account, BOUNTY, self.bounty, "market.bounty", self.now_s)

    # --- data and money -------------------------------------------------------------------------

    def accept(self, datum: Datum) -> None:
        """Add a datum that was paid for to the records, the model and what can be claimed."""
        self.data.append(datum)
        self.progress_s = datum.time_s
        if self.rule.claimable:
            self.open.add(datum)
        if self.rule.learns:
            self.model.update(datum.row, datum.label)
        if datum.row == self.next_row:
            self.next_row += 1
            if self.next_row == self.last:
                self.close()

    def learn_late(self) -> None:
        """Learn all data at the end under a rule that does not learn each at once."""
        if not self.rule.learns:
            for datum in self.data:
                self.model.update(datum.row, datum.label)

    def close(self) -> None:
        """Take no more data; what was accepted can still be claimed."""
        if not self.ran_out:
            self.ran_out = True
            self.write_down("ran out", self.measure())

    def pay(self, payments: Sequence[Payment]) -> None:
        """Pay what a rule with stages decided on."""
        accounts = {POT, *self.rule.accounts()}
        if self.bounty:
            accounts.add(BOUNTY)
        paid = answers.payments(
            self.rule, "advance", payments, accounts, len(self.people), {self.provider}
        )
        try:
            self.kernel.treasury.post(paid, time_s=self.now_s)
        except LedgerError as error:
            raise broken(self.rule, "advance", str(error)) from error

    def standing(self) -> Mapping[int, int]:
        """Return by device what the rule counts of it."""
        found = self.rule.standing(self.memory)
        return answers.counts(self.rule, "standing", found, len(self.people))

    def locked(self) -> Mapping[int, int]:
        """Return the base units by device that the rule holds and may give back."""
        records = self.open if self.rule.claimable else self.data
        found = self.rule.locked(self.memory, tuple(records))
        locked = answers.counts(self.rule, "locked", found, len(self.people))
        if not self.bounty or isinstance(self.provider, str):
            return locked
        own = locked.get(self.provider, 0) + self.kernel.treasury.held(BOUNTY)
        return {**locked, self.provider: own}

    # --- accuracy -------------------------------------------------------------------------------

    def measure(self) -> float:
        """Return the accuracy of the model on the hidden test set."""
        return self._accuracy_of(self.model)

    def _accuracy_of(self, model: OnlineModel) -> float:
        rows = self.samples.test_rows
        return model.accuracy(rows, self.samples.y[rows])

    def publish(self) -> None:
        """Measure the accuracy; contributors know it from then on."""
        self.accuracy = self.measure()
        self.next_accuracy_s += self.scenario.market.accuracy_every_s
        self.books.measured(self.now_s, "published", self.accuracy, len(self.data))

    def write_down(self, moment: str, accuracy: float) -> None:
        """Record the model's accuracy and all balances of a moment; nobody is told of them."""
        self.books.measured(self.now_s, moment, accuracy, len(self.data))
        self.books.balances(self.now_s, moment)

    def baseline(self) -> float:
        """Return the accuracy of the same model trained on all samples with their true labels."""
        model = self.new_model()
        for row in range(self.first, self.last):
            model.update(row, int(self.samples.y[row]))
        return self._accuracy_of(model)

    # --- checkpoints ----------------------------------------------------------------------------

    def to_state(self) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        """Return JSON values and arrays at a round boundary."""
        values: dict[str, Any] = {name: getattr(self, name) for name in LASTING}
        values["open"] = {str(d.index): sorted(d.claimed_by) for d in self.open}
        whole = [(d.row, d.label, d.author, d.deposit, d.claimable, d.claims) for d in self.data]
        arrays = {
            "data": np.array(whole, dtype=np.int64).reshape(-1, 6),
            "times": np.array([d.time_s for d in self.data], dtype=np.float64),
        }
        learned = {f"model.{name}": array for name, array in self.model.state().items()}
        return values, arrays | learned

    def restore(self, state: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> None:
        """Continue from `to_state`."""
        for name in LASTING:
            setattr(self, name, state[name])
        times = arrays["times"].tolist()
        for index, (row, label, author, *amounts) in enumerate(arrays["data"].tolist()):
            self.data.append(Datum(index, row, label, author, times[index], *amounts))
        prefix = "model."
        learned = {n.removeprefix(prefix): a for n, a in arrays.items() if n.startswith(prefix)}
        self.model.restore(learned)
        for index, claimed_by in state["open"].items():
            datum = self.data[int(index)]
            datum.claimed_by = set(claimed_by)
            self.open.add(datum)
