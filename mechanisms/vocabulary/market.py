"""Words of `protocol = "market"`: data that are offered, claims on them, and what rules answer.

A datum is good for a market when the present model predicts its label: no rule knows the truth.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from mechanisms.vocabulary.observation import ABSENT, Observation

TOKEN = 1_000_000_000
"""Base units in a token: the formulas of the papers, offers and prices are in tokens."""

PROVIDER = "provider"
"""The account of a provider of test set and bounty that takes no part in the market."""

MarketMemory = dict[str, Any]
"""What a market rule remembers: plain JSON values, so keys are strings. Its methods change it."""


@dataclass(slots=True)
class Datum:
    """The public record of an accepted datum. Rules read it, the market alone writes it.

    index       its number, in the order of acceptance
    row         of the training samples, whose features it has
    label       that its author gave it
    author      device
    time_s      when it was accepted
    deposit     what its author paid, base units
    claimable   what is left of that
    claims      how many claims were accepted
    claimed_by  devices whose claim was accepted
    """

    index: int
    row: int
    label: int
    author: int
    time_s: float
    deposit: int
    claimable: int
    claims: int = 0
    claimed_by: set[int] | frozenset[int] = frozenset()

    def claimed(self, device: int, amount: int) -> None:
        """Note that a claim of a device was accepted, and what it was paid: the market does."""
        self.claimable -= amount
        self.claims += 1
        # Most data are settled by few claims or none: no set before the first of them.
        if isinstance(self.claimed_by, set):
            self.claimed_by.add(device)
        else:
            self.claimed_by = {device}


class Refused(NamedTuple):
    """The answer of a rule that refuses: the reason, in words, is recorded as an incident."""

    reason: str


class Offering(NamedTuple):
    """What a rule sees of a datum that is offered: by whom, when, with how much money."""

    device: int
    time_s: float
    offer: int
    row: int
    label: int


class Claim(NamedTuple):
    """What a rule sees of a claim on a datum.

    `agrees`: whether the present model predicts its label.
    """

    device: int
    time_s: float
    datum: Datum
    agrees: bool


class Withdrawal(NamedTuple):
    """What a rule sees of a device that collects the balance which is kept for `owner`."""

    device: int
    time_s: float
    owner: int


class Evaluator(Protocol):
    """Accuracy on the hidden test set after each datum of a list, learned in this order.

    `float64[n + 1]`: of the initial model first.
    """

    def __call__(self, data: Sequence[int]) -> NDArray[np.float64]: ...


@dataclass(frozen=True, kw_only=True)
class Stage(Observation):
    """What a rule with stages sees when it is asked to go on: at its deadline, or at the end.

    time_s      now
    data        records of all data that were accepted, by index
    ended       whether no more data will be offered
    accuracies  see `Evaluator`
    tested      whether the test set that was revealed is the one that was committed to
    provider    who set the bounty aside: a device, or the account `PROVIDER`
    """

    time_s: float
    data: Sequence[Datum]
    ended: bool
    accuracies: Evaluator
    tested: bool = True
    provider: int | str = PROVIDER


@dataclass(frozen=True, kw_only=True)
class ContributorObservation(Observation):
    """What a contributor sees when its time has come.

    device, time_s, round   who, when, in which slice of time
    balance     base units that it holds
    budget      base units: what its habits let it offer this time, at most `balance`
    row, label  the next sample and its true label; None when no data are left
    classes     how many there are
    accuracy    of the model on the hidden test set, as last published
    coalition   devices of its own group; nobody for an honest one
    rng         its own stream, the same whatever others do

    The rest is shown to behaviours that name it in `knows`:

    "price"       `price`: base units that an accepted datum costs now
    "prediction"  `prediction`: the label that the model predicts for the next sample
    "records"     `records`: public records of the data that can still be claimed, oldest first
    "standing"    `standing`: by device what the rule counts of it, such as data found good
    "samples"     `samples`: `float32[n, features]` of all training samples, `labels` `int64[n]`,
                  and `predict(rows)`, which asks the public model for `int64[k]`
    """

    groups = MappingProxyType(
        {
            "price": ("price",),
            "prediction": ("prediction",),
            "records": ("records",),
            "standing": ("standing",),
            "samples": ("samples", "labels", "predict"),
        }
    )
    declares = "knows"
    shown = "behaviours"
    actor = "device"

    device: int
    round: int
    time_s: float
    balance: int
    budget: int
    row: int | None
    label: int | None
    classes: int
    accuracy: float
    rng: np.random.Generator
    coalition: frozenset[int] = frozenset()
    price: int = ABSENT
    prediction: int = ABSENT
    records: Sequence[Datum] = ABSENT
    standing: Mapping[int, int] = ABSENT
    samples: NDArray[np.float32] = ABSENT
    labels: NDArray[np.int64] = ABSENT
    predict: Callable[[Sequence[int]], NDArray[np.int64]] = ABSENT


class Offer(NamedTuple):
    """A decision to offer a datum: the label, and base units at most.

    `row`: another row of the training samples than the next one, which then stays the next one.
    """

    label: int
    amount: int
    row: int | None = None


class Query(NamedTuple):
    """A decision to ask the model for a prediction, and what is paid for it at most, base units."""

    amount: int


Act = Offer | Query | None
"""What a contributor does when its time has come; None: nothing but claiming."""


@dataclass(frozen=True, kw_only=True)
class TimingObservation(Observation):
    """What a contributor sees when it decides when to act next.

    wait_s       seconds that its habits would let it wait
    balance      base units that it holds
    row          the next sample; None when no more data are taken
    refundable_s  when the first of its own data that are too young now can be refunded
    reportable_s  when the first datum of others that is too young now can be reported
    sweepable_s   when the first datum that is still claimable can be swept by anybody, or balances
                  of others can be collected

    Each of the last three is inf where there is none. Behaviours that name "price" in `knows` are
    shown `price`, what an accepted datum costs now, in base units.
    """

    groups = MappingProxyType({"price": ("price",)})
    declares = "knows"
    shown = "behaviours"
    actor = "device"

    device: int
    time_s: float
    wait_s: float
    balance: int
    row: int | None
    refundable_s: float
    reportable_s: float
    sweepable_s: float
    rng: np.random.Generator
    price: int = ABSENT


@dataclass(frozen=True, kw_only=True)
class ProviderObservation(Observation):
    """What the provider of a test set sees when it commits to one.

    `labels` `int64[n]` of the test samples.
    """

    actor = "device"

    device: int
    labels: NDArray[np.int64]
    classes: int
    rng: np.random.Generator
