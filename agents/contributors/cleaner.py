"""Labels corrected by their neighbours."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from agents.contributors.base import Contributor
from mechanisms.plugin import param
from mechanisms.vocabulary import Act, ContributorObservation, Datum, Offer


class Cleaner(Contributor):
    """Gives samples the label of most of their nearest neighbours among the newest public data.

    It offers the newest sample whose label clearly differs from its neighbours' once more, with
    theirs, so that the model unlearns the mistake; where there is none, the next sample. It never
    looks at true labels. Reporting what the model disagrees with is the market's, as for all.

    The FAQ lets it publish the cleaned data as a fork: a model of its own, which others may prefer.
    Here cleaned data compete with the others in the one model; a second model with its own
    contributors is not covered.
    """

    name = "cleaner"
    summary = "offers public data again with the label of their neighbours, where theirs differs"
    reference = "0xDeCA10B FAQ: correct labels by clustering off the chain"
    knows = frozenset({"records", "samples"})
    examples = ({}, {"neighbours": 1, "newest": 8})

    @dataclass(frozen=True)
    class Params:
        neighbours: int = param(5, help="nearest samples that vote on a label", ge=1, le=1_000)
        newest: int = param(32, help="public data that are looked at", ge=2, le=10_000)
        agreement: float = param(
            0.8, help="share of the neighbours from which a label counts as wrong", gt=0.5, le=1
        )

    params: Params

    def act(self, seen: ContributorObservation) -> Act:
        data = _newest(seen.records[-self.params.newest :])
        if seen.row is None or len(data) <= self.params.neighbours:
            return None
        votes = self._votes(seen, data)
        labels = votes.argmax(1)
        clear = votes.max(1) >= self.params.agreement * self.params.neighbours
        given = np.array([datum.label for datum in data])
        wrong = np.flatnonzero(clear[:-1] & (labels[:-1] != given))
        if len(wrong):
            first = wrong[0]
            return Offer(int(labels[first]), seen.budget, data[first].row)
        return Offer(int(labels[-1]), seen.budget)

    def _votes(self, seen: ContributorObservation, data: Sequence[Datum]) -> NDArray[np.int64]:
        """Return votes on the label of each datum and, last, of the next sample.

        `int64[n + 1, classes]`. No sample votes on itself.
        """
        k = self.params.neighbours
        rows = np.array([datum.row for datum in data] + [seen.row])
        labels = np.array([datum.label for datum in data])
        x = seen.samples[rows]
        distance = (x[:-1] ** 2).sum(1) - 2 * x @ x[:-1].T  # less the squared norm of each row
        distance[rows[:, None] == rows[:-1]] = np.inf
        near = np.argpartition(distance, k - 1, axis=1)[:, :k]
        return (labels[near][:, :, None] == np.arange(seen.classes)).sum(1)


def _newest(records: Sequence[Datum]) -> list[Datum]:
    """Return the newest datum of each sample, the newest first."""
    found: dict[int, Datum] = {}
    for datum in reversed(records):
        found.setdefault(datum.row, datum)
    return list(found.values())
