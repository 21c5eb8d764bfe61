"""Words of a collective: versions that engineers submit, members that judge them, licences."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import NamedTuple

import numpy as np

from mechanisms.vocabulary.observation import ABSENT, Observation
from mechanisms.vocabulary.records import FloatMatrix, ParameterSlot

RowTest = Callable[[FloatMatrix], float]
"""Accuracy of one row `float32[P]` on fixed samples."""
Terms = Callable[[int], float]
"""Base units that an offer for a licence costs on average, fines included; inf: none is given."""


class MemberVote(NamedTuple):
    """What a member thinks of a version.

    approves    whether it may replace the master model
    share       part of the engineers' pool, 0 to 1, that its author should get
    """

    approves: bool
    share: float = 0.0


@dataclass(frozen=True, kw_only=True)
class DownloadObservation(Observation):
    """What a model engineer sees before it works: what the master model costs, what can be earned.

    `charge` is what a download costs, `pool` what is left of the engineers' pool, `balance` what
    the engineer holds, all in base units.
    """

    actor = "device"

    round: int
    device: int
    charge: int
    pool: int
    balance: int
    rng: np.random.Generator


@dataclass(frozen=True, kw_only=True)
class EngineerObservation(Observation):
    """What a model engineer sees after it has trained.

    `master` is the row `float32[P]` that it downloaded, `trained` the same after its own epochs on
    the public samples. With `knows = {"test"}`, `test(row)` is the accuracy on all samples that
    members judge with.
    """

    groups = MappingProxyType({"test": ("test",)})
    declares = "knows"
    shown = "behaviours"
    actor = "device"

    round: int
    device: int
    master: FloatMatrix
    trained: FloatMatrix
    layout: tuple[ParameterSlot, ...]
    rng: np.random.Generator
    test: RowTest = ABSENT


@dataclass(frozen=True, kw_only=True)
class MemberObservation(Observation):
    """What a member of the collective sees of a version.

    `accuracy` and `master_accuracy` are measured on the member's own test samples, on which nobody
    trains and of which none is reported on. `coalition` are the devices of its own group.
    """

    actor = "member"

    round: int
    member: int
    author: int
    accuracy: float
    master_accuracy: float
    rng: np.random.Generator
    coalition: frozenset[int] = frozenset()


@dataclass(frozen=True, kw_only=True)
class ApprovalObservation(Observation):
    """What an approval rule sees of a version: who judged it how, and the engineers' pool.

    `members` are all that could vote, `votes` by those that did; `remaining` and `initial`
    are base units of the pool now and at the start. With `observes = {"stakes"}`, `stakes` are the
    base units that each of `members` holds.
    """

    groups = MappingProxyType({"stakes": ("stakes",)})

    round: int
    author: int
    members: tuple[int, ...]
    votes: Mapping[int, MemberVote]
    remaining: int
    initial: int
    stakes: tuple[int, ...] = ABSENT

    @property
    def approving(self) -> tuple[int, ...]:
        """The members that approve."""
        return tuple(member for member, vote in self.votes.items() if vote.approves)


@dataclass(frozen=True, kw_only=True)
class ClientObservation(Observation):
    """What a client sees that has no licence at present.

    `fee` is the price of one, `value` what using the model until it ends is worth to the client as
    accurate as the model is said to be, `balance` what it holds, all in base units. `fined` counts
    its fines so far. With `knows = {"terms"}`, `terms(offer)` is what an offer costs on average.
    """

    groups = MappingProxyType({"terms": ("terms",)})
    declares = "knows"
    shown = "behaviours"
    actor = "device"

    round: int
    device: int
    usage: str
    fee: int
    value: float
    balance: int
    fined: int
    rng: np.random.Generator
    terms: Terms = ABSENT


@dataclass(frozen=True, kw_only=True)
class LicenceObservation(Observation):
    """What a licensing rule sees of an offer: the fee of the usage, and what the client pays."""

    round: int
    client: int
    usage: str
    fee: int
    offer: int
    rng: np.random.Generator
