"""Validators that sell their votes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from agents.validators.base import ValidatorBehaviour
from mechanisms.plugin import param
from mechanisms.vocabulary import VoteObservation


class Venal(ValidatorBehaviour):
    """Base of validators that ask workers for a price."""

    @dataclass(frozen=True)
    class Params:
        price: int = param(
            100, help="asked of a worker for a positive vote", unit="base units", ge=1, le=10**12
        )

    params: Params

    @property
    def price(self) -> int:
        return self.params.price


class Bribable(Venal):
    """Votes for every worker that pays, and as the rule says on all others."""

    name = "bribable"
    summary = "sells positive votes"
    reference = "bribery: Bonneau 2016, FC (why buy when you can rent)"

    def vote(self, seen: VoteObservation) -> NDArray[np.bool_]:
        return seen.verdicts | seen.payers()


class Extort(Venal):
    """Votes against every worker that does not pay, and as the rule says on those that pay."""

    name = "extort"
    summary = "votes against everybody who does not pay"
    reference = "extortion by a validator: guide on on-chain coordination, validator stakes"
    threatens = True

    def vote(self, seen: VoteObservation) -> NDArray[np.bool_]:
        return seen.verdicts & seen.payers()
