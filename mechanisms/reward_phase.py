"""The reward phase of a prediction market: who wins and loses what by a test set that is revealed.

All amounts are integers of base units. Accuracies are rounded to multiples of 1 / SCALE, so that
scores are integers and add up exactly: no more than the bounty can be paid.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from mechanisms.vocabulary import TOKEN, Datum, Evaluator

SCALE = 10**12


class RewardPhase:
    """Passes over the data of a market that has ended.

    A score and a balance belong to a holder: a contributor where data are grouped, else a datum.
    `passes` counts the passes, `evaluations` how often the model was measured.

    Args:
        data: records of all contributions, by index.
        accuracies: see `Evaluator`.
        bounty: base units; a token of them pays one round.
        grouped: whether contributors are scored and stake as one.
        again: whether accuracies are measured again in every pass.
    """

    def __init__(
        self,
        data: Sequence[Datum],
        accuracies: Evaluator,
        *,
        bounty: int,
        grouped: bool,
        again: bool,
    ) -> None:
        self._data, self._accuracies = data, accuracies
        self._left = bounty
        self._grouped, self._again = grouped, again
        self._held: Counter[int] = Counter()
        for datum in data:
            self._held[self._holder(datum)] += datum.deposit
        self._first: Sequence[int] = ()
        self.passes = self.evaluations = 0

    def play(self) -> Mapping[int, int]:
        """Play all rounds; return by contributor what it has then, at least 0."""
        present = self._data
        while present and self._left:
            scores = self._scores(present)
            k = self._length(scores)
            self._left -= k
            gains = {holder: score * k // SCALE for holder, score in scores.items()}
            self._held.update(gains)
            leaving = self._leaving(present)
            self._account(gains, leaving)
            present = [datum for datum in present if self._holder(datum) not in leaving]
        balances = self._balances()
        return {device: max(0, balance) for device, balance in balances.items()}

    def _holder(self, datum: Datum) -> int:
        return datum.author if self._grouped else datum.index

    def _author(self, holder: int) -> int:
        return holder if self._grouped else self._data[holder].author

    def _scores(self, present: Sequence[Datum]) -> Mapping[int, int]:
        """Return the scores of a pass by holder, in 1 / SCALE."""
        before, after = self._measured([datum.index for datum in present])
        self.passes += 1
        scores: Counter[int] = Counter()
        for datum, accuracy in zip(present, after, strict=True):
            scores[self._holder(datum)] += accuracy - before
            before = accuracy
        return scores

    def _measured(self, present: Sequence[int]) -> tuple[int, Sequence[int]]:
        """Return the accuracy before the first of these data, and after each, in 1 / SCALE."""
        if self.passes and not self._again:
            return self._first[0], [self._first[1 + index] for index in present]
        found = [round(float(accuracy) * SCALE) for accuracy in self._accuracies(present)]
        self.evaluations += len(found)
        self._first = self._first or found
        return found[0], found[1:]

    def _length(self, scores: Mapping[int, int]) -> int:
        """Return how many rounds pass until a stake is lost, in base units of the bounty."""
        ends = [
            self._held[holder] * SCALE // -score for holder, score in scores.items() if score < 0
        ]
        return min([self._left, *ends])

    def _leaving(self, present: Sequence[Datum]) -> set[int]:
        """Return the holders that cannot stake a token for each of their data again."""
        counts = Counter(self._holder(datum) for datum in present)
        return {holder for holder, count in counts.items() if self._held[holder] < count * TOKEN}

    def _account(self, gains: Mapping[int, int], leaving: set[int]) -> None:
        """Note what was won in a pass, and who leaves after it."""

    def _balances(self) -> Mapping[int, int]:
        """Return by contributor what its holders have."""
        balances: Counter[int] = Counter()
        for holder, held in self._held.items():
            balances[self._author(holder)] += held
        return balances


class ShippedRewardPhase(RewardPhase):
    """The same with the faults of the published simulator."""

    def __init__(
        self, data: Sequence[Datum], accuracies: Evaluator, *, grouped: bool, **options: Any
    ) -> None:
        super().__init__(data, accuracies, grouped=grouped, **options)
        self._kept: Counter[int] = Counter()
        for datum in data:
            self._kept[datum.author] += datum.deposit
        self._last = 0

    def _measured(self, present: Sequence[int]) -> tuple[int, Sequence[int]]:
        """Measure; after a restart the first datum is compared with the last one before it."""
        start, after = super()._measured(present)
        if self.passes and self._again:
            start = self._last
        self._last = after[-1]
        return start, after

    def _length(self, scores: Mapping[int, int]) -> int:
        """Take the lowest score for the one whose holder loses its stake first."""
        worst = min(scores, key=scores.__getitem__)
        return super()._length({worst: scores[worst]})

    def _account(self, gains: Mapping[int, int], leaving: set[int]) -> None:
        """Pay the gains of the last pass only, and what is left of a datum beside its stake."""
        paid = gains if not self._left else {holder: self._held[holder] for holder in leaving}
        for holder, amount in paid.items():
            self._kept[self._author(holder)] += amount

    def _balances(self) -> Mapping[int, int]:
        return super()._balances() if self._grouped else self._kept
