"""Geometry of rows: norms, distances and sums in float64, in blocks of columns.

Everything takes `float32[n, P]`; blocks keep memory near that of the rows. Rows come from
strangers: no scale here is the largest or the mean of the rows, which one sender can make as large
as it likes, and what cancels beside a far larger number is computed again without it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from mechanisms.vocabulary import FloatMatrix

BLOCK_BYTES = 32 << 20
Float64 = NDArray[np.float64]

CANCELLED = 1e-3
"""Part of its terms below which a sum or difference is computed again, more exactly."""
FAR = 32
"""Times the size of the smallest row: beyond it float32 begins to lose that row."""
SAMPLE = 1_024
"""Columns by which a row in the middle is chosen."""
TIED = 1e-9
"""Relative difference below which two scores or distances are equal."""


def column_blocks(rows: FloatMatrix, itemsize: int = 8) -> Iterator[slice]:
    """Yield slices of columns such that `n` rows of a block take about `BLOCK_BYTES`."""
    n, size = rows.shape
    step = max(1, BLOCK_BYTES // max(1, n * itemsize))
    for start in range(0, size, step):
        yield slice(start, min(size, start + step))


def finite_rows(rows: FloatMatrix) -> NDArray[np.bool_]:
    """Return `bool[n]`: rows without NaN or infinity.

    A float64 sum of float32 numbers is finite exactly when all of them are.
    """
    with np.errstate(invalid="ignore"):
        return np.isfinite(rows.sum(axis=1, dtype=np.float64))


def middle(rows: FloatMatrix) -> Float64:
    """Return the median of each column, `float64[P]`: fewer than n / 2 rows cannot move it far."""
    low, high = (len(rows) - 1) // 2, len(rows) // 2
    median = np.empty(rows.shape[1])
    for at in column_blocks(rows, itemsize=4):
        # Contiguous columns: partitioning along rows would stride through memory.
        columns = np.array(rows[:, at].T, order="C")
        columns.partition([low, high], axis=1)
        median[at] = (columns[:, low].astype(np.float64) + columns[:, high]) / 2
    return median


def squared_norms(rows: FloatMatrix, origin: NDArray[np.floating] | None = None) -> Float64:
    """Return `float64[n]`: squared distances of the rows to `origin` `[P]` (None: zero)."""
    total = np.zeros(len(rows))
    for at in column_blocks(rows):
        block = rows[:, at].astype(np.float64)
        if origin is not None:
            block -= origin[at]
        total += np.einsum("ij,ij->i", block, block)
    return total


def inner_products(
    rows: FloatMatrix, origin: NDArray[np.floating], direction: NDArray[np.floating]
) -> Float64:
    """Return `float64[n]`: inner products of the rows, relative to `origin`, with `direction`."""
    along = np.zeros(len(rows))
    for at in column_blocks(rows):
        block = rows[:, at].astype(np.float64)
        block -= origin[at]
        along += block @ direction[at]
    return along


def gram(rows: FloatMatrix, origin: NDArray[np.floating]) -> Float64:
    """Return `float64[n, n]`: inner products of the rows relative to `origin` `[P]`."""
    total = np.zeros((len(rows), len(rows)))
    for at in column_blocks(rows):
        block = rows[:, at].astype(np.float64)
        block -= origin[at]
        total += block @ block.T
    return total


def squared_distances(rows: FloatMatrix) -> Float64:
    """Return `float64[n, n]`: squared Euclidean distances, each with a relative error near 1e-12.

    They come from the Gram matrix around a row in the middle, one symmetric product. Pairs that lie
    close together and far from that row cancel there, and are subtracted row from row.
    """
    inner = gram(rows, rows[_central(rows)])
    own = np.diag(inner)
    around = own[:, None] + own[None, :]
    distances = around - 2 * inner
    cancelled = np.triu(distances < CANCELLED * around, k=1)
    for i in np.flatnonzero(cancelled.any(axis=1)).tolist():
        others = np.flatnonzero(cancelled[i])
        distances[i, others] = distances[others, i] = _apart(rows, i, others)
    np.fill_diagonal(distances, 0.0)
    return distances


def _central(rows: FloatMatrix) -> int:
    """Return the row that is nearest to the median of each column, by a sample of the columns.

    Only time depends on it: with a row that is far elsewhere more pairs cancel.
    """
    sample = np.ascontiguousarray(rows[:, :: max(1, rows.shape[1] // SAMPLE)])
    return int(squared_norms(sample, middle(sample)).argmin())


def _apart(rows: FloatMatrix, i: int, others: NDArray[np.int64]) -> Float64:
    """Return `float64[m]`: squared distances of row `i` to m others, without any cancellation."""
    total = np.zeros(len(others))
    for at in column_blocks(rows):
        block = rows[others, at].astype(np.float64)
        block -= rows[i, at]
        total += np.einsum("ij,ij->i", block, block)
    return total


def cosines(rows: FloatMatrix, origin: FloatMatrix) -> Float64:
    """Return `float64[n, n]`: cosines between rows relative to `origin`; 0 for a row at it."""
    inner = gram(rows, origin)
    norms = np.sqrt(np.diag(inner))
    norms[norms == 0] = np.inf
    return np.clip(inner / norms[:, None] / norms[None, :], -1.0, 1.0)


def cosines_to_sum(rows: FloatMatrix, origin: FloatMatrix, *, others: bool = False) -> Float64:
    """Return `float64[n]`: cosine of each row to the sum of all rows, or of the `others`.

    Rows are relative to `origin`. The cosine is 0 if either vector has length 0.
    """
    everyone = np.arange(len(rows))
    own, along, whole = _along_sum(rows, origin)
    aim = np.full(len(rows), whole)
    if others:
        aim = whole - 2 * along + own
        along = along - own
        # A row far longer than the sum of the others: that sum is taken without it.
        for i in np.flatnonzero(aim < CANCELLED * (whole + own)).tolist():
            rest = combine((everyone != i).astype(np.float64), rows, origin)
            aim[i] = rest @ rest
            along[i] = inner_products(rows[i : i + 1], origin, rest)[0]
    scale = np.sqrt(own) * np.sqrt(aim)
    return np.divide(along, scale, out=np.zeros_like(scale), where=scale > 0)


def _along_sum(rows: FloatMatrix, origin: FloatMatrix) -> tuple[Float64, Float64, float]:
    """Return squared lengths of rows, inner products with their sum, its squared length."""
    own, along, whole = np.zeros(len(rows)), np.zeros(len(rows)), 0.0
    everyone, far = np.ones(len(rows)), bool(far_apart(row_sizes(rows)))
    # Each block is read several times: small blocks stay in the cache.
    for at in column_blocks(rows, itemsize=8 * 64):
        block = rows[:, at].astype(np.float64)
        block -= origin[at]
        total = _sums(everyone, block, rows[:, at], origin[at], far=far)
        own += np.einsum("ij,ij->i", block, block)
        along += block @ total
        whole += float(total @ total)
    return own, along, whole


def clip_factors(norms: Float64, bound: float) -> Float64:
    """Return min(1, bound / norm); 1 for norm 0."""
    if bound <= 0:
        return (norms == 0).astype(np.float64)
    return np.minimum(1.0, bound / np.where(norms > bound, norms, bound))


def combine(
    weights: Float64, rows: FloatMatrix, origin: NDArray[np.floating] | None = None
) -> Float64:
    """Return sum_i weights[i] (rows[i] - origin), `float64[P]`; origin None: zero.

    Beside a far row, columns in which large numbers cancel are summed exactly.
    """
    base = np.zeros(rows.shape[1]) if origin is None else origin
    total = np.empty(rows.shape[1])
    used = weights != 0
    far = bool(used.any() and far_apart((np.abs(weights) * row_sizes(rows))[used]))
    for at in column_blocks(rows):
        block = rows[:, at].astype(np.float64)
        if origin is not None:
            block -= base[at]
        total[at] = _sums(weights, block, rows[:, at], base[at], far=far)
    return total


def _sums(
    weights: Float64,
    block: Float64,
    rows: FloatMatrix,
    origin: NDArray[np.floating],
    *,
    far: bool,
) -> Float64:
    """Return `weights` @ `block`, where `block` is `rows` less `origin`.

    `far`: a row is so far from the others that columns in which it cancels must be summed exactly.
    """
    total: Float64 = weights @ block
    if far:
        size = np.abs(weights) @ np.abs(block)
        cancelled = np.flatnonzero(np.abs(total) < CANCELLED * size)
        total[cancelled] = _exact_sums(weights, rows[:, cancelled], origin[cancelled])
    return total


def row_sizes(rows: FloatMatrix) -> FloatMatrix:
    """Return `float32[n]`: the largest absolute value of each row."""
    return np.maximum(rows.max(axis=1), -rows.min(axis=1))


def far_apart(sizes: NDArray[np.floating]) -> NDArray[np.bool_]:
    """Return `bool[...]`: whether some of `sizes` `[..., n]` are so large that sums lose others."""
    if not sizes.shape[-1]:
        return np.zeros(sizes.shape[:-1], dtype=bool)
    # Not the median row: of those that a rule has chosen, half or more may be far.
    return sizes.max(axis=-1) > FAR * sizes.min(axis=-1)


def _exact_sums(weights: Float64, rows: FloatMatrix, origin: NDArray[np.floating]) -> Float64:
    """Return sum_i weights[i] (rows[i] - origin), `float64[P]`, as if in endless precision."""
    # Halves of a weight have 26 digits and a row has 24: their products are exact.
    wide = weights * (2**27 + 1)
    high = wide - (wide - weights)
    x = rows.astype(np.float64)
    parts = [high, weights - high]
    terms = [half[:, None] * values for half in parts for values in (x, -origin[None, :])]
    return np.array([math.fsum(column) for column in np.concatenate(terms).T.tolist()])


def means(values: FloatMatrix) -> Float64:
    """Return the mean of each row of `values` `[m, k]`, exact where large numbers cancel."""
    total = values.sum(axis=1, dtype=np.float64)
    cancelled = np.abs(total) < CANCELLED * np.abs(values).sum(axis=1, dtype=np.float64)
    total[cancelled] = [math.fsum(row) for row in values[cancelled].tolist()]
    return total / values.shape[1]


def lowest(scores: Float64) -> int:
    """Return the first index whose score equals the smallest one, up to `TIED` of that."""
    return int(np.flatnonzero(scores <= scores.min() * (1 + TIED))[0])
