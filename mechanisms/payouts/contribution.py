"""Payment by contribution to accuracy: improvement, leave-one-out, Shapley. Recorded updates only; nothing is trained again."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from mechanisms.payouts.shares import PotParams, Shares
from mechanisms.plugin import param
from mechanisms.vocabulary import BlockObservation, FloatMatrix, UpdateRecord


class Coalitions:
    """v(S): accuracy of the mean of the updates in S, of the model before the block for nobody. Each S is measured once."""

    def __init__(self, seen: BlockObservation) -> None:
        assert seen.updates is not None
        assert seen.start is not None
        assert seen.utility is not None
        self._utility, self._start = seen.utility, seen.start
        # Members are numbered in the order of workers, whatever the order of records.
        order = sorted((r.worker, i) for i, r in enumerate(seen.records) if r.accepted)
        self.workers = [w for w, _ in order]
        self._rows = seen.updates[[i for _, i in order]].astype(np.float64)
        self._known: dict[frozenset[int], float] = {}

    def value(self, members: frozenset[int]) -> float:
        """Accuracy of one coalition."""
        return self.values([members])[0]

    def values(self, coalitions: list[frozenset[int]]) -> list[float]:
        """Accuracies of several, in batches that stay small."""
        new = [s for s in dict.fromkeys(coalitions) if s not in self._known]
        for at in range(0, len(new), 64):
            batch = new[at : at + 64]
            measured = self._utility(np.stack([self._mean(s) for s in batch]))
            self._known.update(zip(batch, measured.tolist(), strict=True))
        return [self._known[s] for s in coalitions]

    def _mean(self, members: frozenset[int]) -> FloatMatrix:
        return self._rows[sorted(members)].mean(axis=0).astype(np.float32) if members else self._start


class Improvement(Shares):
    """w_i = max(0, v({i}) - v(nobody)): what the update alone gains on held-out samples."""

    name = "improvement"
    summary = "a pot shared by each update's own gain in accuracy"
    reference = "DecentralML grant: a node is rewarded if its update improves the test partition"
    observes = frozenset({"updates", "aggregate", "utility"})

    def weights(self, seen: BlockObservation, accepted: list[UpdateRecord]) -> Mapping[int, float]:
        game = Coalitions(seen)
        alone = game.values([frozenset({i}) for i in range(len(accepted))])
        return {w: max(0.0, v - game.value(frozenset())) for w, v in zip(game.workers, alone, strict=True)}


class LeaveOneOut(Shares):
    """w_i = max(0, v(all) - v(all but i))."""

    name = "leave-one-out"
    summary = "a pot shared by what accuracy would be lost without each update"
    reference = "Cook's influence by deletion; guide on on-chain coordination, proof of learning"
    observes = frozenset({"updates", "aggregate", "utility"})

    def weights(self, seen: BlockObservation, accepted: list[UpdateRecord]) -> Mapping[int, float]:
        game, everyone = Coalitions(seen), frozenset(range(len(accepted)))
        without = game.values([everyone - {i} for i in range(len(accepted))])
        return {w: max(0.0, game.value(everyone) - v) for w, v in zip(game.workers, without, strict=True)}


@dataclass(frozen=True)
class ShapleyParams(PotParams):
    """Parameters of the plug-in below."""

    exact_up_to: int = param(10, help="workers up to which all coalitions are measured (2^n)", ge=1, le=12)
    permutations: int = param(20, help="pairs of a permutation and its reverse, above that", ge=1, le=100_000)
    truncation: float = param(
        0.005, help="a permutation ends when the rest can add no more than this", unit="accuracy", ge=0, le=1
    )


class Shapley(Shares):
    """w_i = max(0, phi_i), phi the Shapley value of v: exact, or truncated antithetic Monte Carlo."""

    name = "shapley"
    summary = "a pot shared by Shapley values of accuracy"
    reference = (
        "Shapley 1953; Ghorbani and Zou 2019, arXiv:1904.02868 (truncation); Mitchell et al. 2022, arXiv:2104.12199 (antithetic)"
    )
    observes = frozenset({"updates", "aggregate", "utility"})
    anonymous = False  # permutations are drawn over the order of workers
    Params = ShapleyParams

    def weights(self, seen: BlockObservation, accepted: list[UpdateRecord]) -> Mapping[int, float]:
        game, n = Coalitions(seen), len(accepted)
        if n == 0:
            return {}
        if n <= self.params.exact_up_to:
            values = exact(game, n)
        else:
            values = sampled(game, n, self.params.permutations, self.params.truncation, seed=seen.round)
        # Measured accuracies are ratios of counts: rounding keeps equal contributions equal.
        return {w: max(0.0, round(v, 12)) for w, v in zip(game.workers, values, strict=True)}


def exact(game: Coalitions, n: int) -> list[float]:
    """phi_i = sum over S without i of |S|! (n - |S| - 1)! / n! (v(S + i) - v(S))."""
    members = list(range(n))
    subsets = [frozenset(s) for size in range(n + 1) for s in combinations(members, size)]
    value = dict(zip(subsets, game.values(subsets), strict=True))
    weight = [math.factorial(k) * math.factorial(n - k - 1) / math.factorial(n) for k in range(n)]
    return [math.fsum(weight[len(s)] * (value[s | {i}] - value[s]) for s in subsets if i not in s) for i in members]


def sampled(game: Coalitions, n: int, pairs: int, truncation: float, seed: int) -> list[float]:
    """Mean marginal contribution over permutations and their reverses, each cut off when v(all) is nearly reached."""
    total = np.zeros(n)
    everyone = game.value(frozenset(range(n)))
    orders = list(_orders(n, pairs, seed))
    for order in orders:
        before, joined = game.value(frozenset()), frozenset[int]()
        for i in order:
            if abs(everyone - before) <= truncation:
                break
            joined |= {i}
            after = game.value(joined)
            total[i] += after - before
            before = after
    return (total / len(orders)).tolist()


def _orders(n: int, pairs: int, seed: int) -> Iterator[list[int]]:
    rng = np.random.default_rng(seed)
    for _ in range(pairs):
        order: NDArray[np.int64] = rng.permutation(n)
        yield order.tolist()
        yield order[::-1].tolist()
