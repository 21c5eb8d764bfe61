"""Roles, recorded updates and payments: the words of everybody."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mechanisms.vocabulary.observation import Observation

FloatMatrix = NDArray[np.float32]

Memory = Mapping[str, Any]
"""What a rule remembers from block to block: plain JSON values. It belongs to the chain and forks
with it."""


class Role(StrEnum):
    """What a device does in one round."""

    WORKER = "worker"
    VALIDATOR = "validator"
    MINER = "miner"


@dataclass(frozen=True)
class ParameterSlot:
    """Place of one named tensor of a model: `row[start:start + size].reshape(shape)`."""

    name: str
    shape: tuple[int, ...]
    start: int
    size: int

    @property
    def stop(self) -> int:
        return self.start + self.size


@dataclass(frozen=True, kw_only=True)
class UpdateRecord(Observation):
    """One update as a block records it: the worker's claims, and who voted which way.

    `accepted` is the outcome of the vote, see `from_votes`. `verified_samples` and
    `verified_epochs` are the work that was really done, as an audit would find it. `reports` are
    pairs (validator, score): the cosine of the update to the mean of those that the validator was
    sent, as the validator reports it.
    """

    groups = MappingProxyType(
        {
            "votes": ("positive", "negative"),
            "claims": ("claimed_samples", "claimed_epochs"),
            "work": ("verified_samples", "verified_epochs"),
            "reports": ("reports",),
        }
    )

    worker: int
    claimed_samples: int
    claimed_epochs: int
    positive: tuple[int, ...]
    negative: tuple[int, ...]
    accepted: bool
    verified_samples: int = 0
    verified_epochs: int = 0
    reports: tuple[tuple[int, float], ...] = ()

    @classmethod
    def from_votes(
        cls,
        *,
        worker: int,
        claimed_samples: int,
        claimed_epochs: int,
        positive: tuple[int, ...],
        negative: tuple[int, ...],
        verified_samples: int = 0,
        verified_epochs: int = 0,
        reports: tuple[tuple[int, float], ...] = (),
    ) -> UpdateRecord:
        """Return a record whose majority of votes decides `accepted`; a tie accepts (VBFL)."""
        return cls(
            worker=worker,
            claimed_samples=claimed_samples,
            claimed_epochs=claimed_epochs,
            positive=positive,
            negative=negative,
            accepted=len(positive) >= len(negative),
            verified_samples=verified_samples,
            verified_epochs=verified_epochs,
            reports=reports,
        )


@dataclass(frozen=True)
class Payment:
    """A decision of a payout rule: `amount` base units from `payer` to `payee`.

    Either is a device's number or the name of an account. "issuance" creates units and "burn"
    destroys them; other accounts, such as "escrow:pool", are declared by the rule
    (`PayoutRule.accounts`). `holder` is the device that loses by a penalty paid out of a deposit.
    NumPy's integers are taken as Python's.
    """

    payee: int | str
    amount: int
    reason: str
    payer: int | str = "issuance"
    holder: int | None = None

    def __post_init__(self) -> None:
        for name in ("payee", "amount", "payer", "holder"):
            value = getattr(self, name)
            if isinstance(value, np.integer):
                object.__setattr__(self, name, int(value))

    @property
    def per_device(self) -> bool:
        """Whether the units are newly issued to a device.

        Such a payment is credited as each device appends the block. All others move once, as those
        of a contract do.
        """
        return self.payer == "issuance" and isinstance(self.payee, int)


@dataclass(frozen=True)
class Settlement:
    """The decision of a payout rule about a block; `memory` None leaves the memory unchanged."""

    payments: tuple[Payment, ...] = ()
    memory: Memory | None = None
