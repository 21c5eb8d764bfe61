"""Krum scores: the distance of each row to its closest others."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mechanisms.geometry import Float64, lowest


def tolerated(f: int, n: int, needs: tuple[int, int]) -> int:
    """Return the largest number up to f with `n >= needs[0] * f + needs[1]`, at least 0."""
    slope, constant = needs
    return max(0, min(f, (n - constant) // slope))


def closest_sums(distances: Float64, count: int) -> Float64:
    """Return `float64[n]`: for each row the sum of its `count` smallest squared distances."""
    n = len(distances)
    if n == 1 or count < 1:
        return np.zeros(n)
    count = min(count, n - 1)
    others = distances[~np.eye(n, dtype=bool)].reshape(n, n - 1)
    return np.sort(others, axis=1)[:, :count].sum(axis=1)


def choose(distances: Float64, f: int, rows: int) -> NDArray[np.int64]:
    """Choose `rows` rows by repeated Krum, each time among the remaining ones; sorted by index.

    With m rows remaining, a score is the sum of the max(1, m - f - 2) smallest squared distances to
    other remaining rows (El Mhamdi et al. 2018, algorithm of Bulyan). Which distances count is
    updated while rows leave. Their sums are taken anew each time: subtracting from a sum would
    leave nothing of it beside a far larger distance that it once held.
    """
    n = len(distances)
    itself_first = distances + np.diag(np.full(n, -1.0))
    order = np.argsort(itself_first, axis=1, kind="stable")
    rank = np.empty_like(order)
    np.put_along_axis(rank, order, np.broadcast_to(np.arange(n), (n, n)), axis=1)
    alive = np.ones(n, dtype=bool)
    each = np.arange(n)
    count = n - f - 2
    last = np.full(n, max(0, count))  # rank of the farthest row that is counted
    counted = np.take_along_axis(distances, order, axis=1)
    counted[:, max(1, count + 1) :] = 0.0
    chosen = []
    for left in range(n, n - rows, -1):
        count = left - f - 2
        if count < 1:  # too few are left for the rule's number of neighbours: take the nearest one
            rest = np.flatnonzero(alive)
            pick = int(rest[lowest(closest_sums(distances[np.ix_(rest, rest)], 1))])
        else:
            pick = lowest(np.where(alive, counted.sum(axis=1), np.inf))
        chosen.append(pick)
        alive[pick] = False
        if count > 1:
            # From now on one neighbour fewer is counted: the row that left, or else the farthest.
            leaves = np.minimum(rank[:, pick], last)
            counted[each, leaves] = 0.0
            last = np.maximum(last - (leaves == last), 0)
            while (dead := ~alive[order[each, last]] & (last > 0)).any():
                last -= dead
    return np.array(sorted(chosen), dtype=np.int64)
