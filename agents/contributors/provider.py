"""A provider whose test set favours its own group."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from agents.contributors.base import Contributor
from agents.labels import check_class
from mechanisms.plugin import param
from mechanisms.vocabulary import Act, ContributorObservation, Offer, ProviderObservation


class CheatingProvider(Contributor):
    """Commits to test samples of one class, and its group labels everything as that class.

    A model that always answers with the class is perfect on this test set. The hash proves that the
    set was not changed, not that it is like the data: the group earns the bounty back, and honest
    contributors, whose other classes lower the accuracy, lose stakes that return to the provider.
    """

    name = "cheating-provider"
    summary = "commits to a test set of one class, and labels all its data as that class"
    reference = "prediction market: the provider alone chooses the test set that it commits to"

    @dataclass(frozen=True)
    class Params:
        only: int = param(0, help="class that the test set is made of", ge=0)

    params: Params

    def act(self, seen: ContributorObservation) -> Act:
        if seen.row is None:
            return None
        check_class(self.params.only, seen.classes, "only")
        return Offer(self.params.only, seen.budget)

    def test_set(self, seen: ProviderObservation) -> NDArray[np.int64]:
        check_class(self.params.only, seen.classes, "only")
        return np.flatnonzero(seen.labels == self.params.only)
