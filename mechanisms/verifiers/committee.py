"""A committee of fallible members."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mechanisms.plugin import param
from mechanisms.verifiers.base import Verifier
from mechanisms.vocabulary import VerificationObservation


class Committee(Verifier):
    """The majority of votes of members that each err with probability e; a tie accepts.

    A member's behaviour as validator turns its verdicts into votes. With honest members and odd n
    an update is misjudged with probability sum_{k > n/2} C(n, k) e^k (1 - e)^(n - k).
    """

    name = "committee"
    summary = "the majority of a drawn committee whose members err"
    reference = "guide on on-chain coordination, validation committee; Condorcet's jury theorem"
    stochastic = True
    examples = ({}, {"size": 1, "error": 0.5})

    @dataclass(frozen=True)
    class Params:
        size: int = param(
            5,
            help="devices drawn among the members for each round; they do not train in it",
            ge=1,
            le=1_000,
        )
        error: float = param(
            0.05, help="probability that a member misjudges an update, each by itself", ge=0, le=0.5
        )
        verify_s: float = param(
            1.0, help="time that a member spends on an update", unit="seconds", ge=0, le=1e6
        )

    params: Params

    @property
    def committee(self) -> int:
        return self.params.size

    def used(self, n: int) -> Mapping[str, int]:
        return {"size": min(self.params.size, n)}

    @property
    def verify_s(self) -> float:
        return self.params.verify_s

    def verdicts(self, seen: VerificationObservation) -> NDArray[np.bool_]:
        wrong = seen.rng.random((self.params.size, len(seen.genuine))) < self.params.error
        return seen.genuine[None] ^ wrong
