"""Geometry of rows: norms and distances in float64, in blocks of columns.

Everything takes `float32[n, P]`; blocks keep memory near that of the rows. Distances come from the
Gram matrix of the centred rows (one symmetric product), which keeps 16 digits when rows lie close
together.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from mechanisms.vocabulary import FloatMatrix

BLOCK_BYTES = 32 << 20
Float64 = NDArray[np.float64]


def column_blocks(rows: FloatMatrix, itemsize: int = 8) -> Iterator[slice]:
    """Yield slices of columns such that `n` rows of a block take about `BLOCK_BYTES`."""
    n, size = rows.shape
    step = max(1, BLOCK_BYTES // max(1, n * itemsize))
    for start in range(0, size, step):
        yield slice(start, min(size, start + step))


def squared_norms(rows: FloatMatrix, origin: NDArray[np.floating] | None = None) -> Float64:
    """Return `float64[n]`: squared distances of the rows to `origin` `[P]` (None: zero)."""
    total = np.zeros(len(rows))
    for at in column_blocks(rows):
        block = rows[:, at].astype(np.float64)
        if origin is not None:
            block -= origin[at]
        total += np.einsum("ij,ij->i", block, block)
    return total


def gram(rows: FloatMatrix, origin: NDArray[np.floating] | None = None) -> Float64:
    """Return `float64[n, n]`: inner products of the rows relative to `origin` `[P]`.

    None: relative to the mean of the rows.
    """
    total = np.zeros((len(rows), len(rows)))
    for at in column_blocks(rows):
        block = rows[:, at].astype(np.float64)
        block -= block.mean(axis=0) if origin is None else origin[at]
        total += block @ block.T
    return total


def along_sum(rows: FloatMatrix, origin: NDArray[np.floating]) -> tuple[Float64, Float64]:
    """Return squared lengths of the rows and their inner products with the sum of all rows.

    Both are `float64[n]`, relative to `origin` `[P]`.
    """
    own, along = np.zeros(len(rows)), np.zeros(len(rows))
    # Each block is read three times: small blocks stay in the cache.
    for at in column_blocks(rows, itemsize=8 * 64):
        block = rows[:, at].astype(np.float64)
        block -= origin[at]
        own += np.einsum("ij,ij->i", block, block)
        along += block @ block.sum(axis=0)
    return own, along


def squared_distances(rows: FloatMatrix) -> Float64:
    """Return `float64[n, n]`: squared Euclidean distances, never negative, zero on the diagonal."""
    inner = gram(rows)
    own = np.diag(inner)
    distances = np.maximum(own[:, None] + own[None, :] - 2 * inner, 0.0)
    np.fill_diagonal(distances, 0.0)
    return distances


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
    own, along = along_sum(rows, origin)
    whole = along.sum()
    if others:
        aim = whole - 2 * along + own
        aim[aim < ROUNDING * (whole + own)] = 0.0
        along = along - own
    else:
        aim = np.full(len(own), max(0.0, whole))
    scale = np.sqrt(own * aim)
    return np.divide(along, scale, out=np.zeros_like(scale), where=scale > 0)


ROUNDING = 1e-12
"""Relative size below which a difference of squared lengths is rounding."""


def clip_factors(norms: Float64, bound: float) -> Float64:
    """Return min(1, bound / norm); 1 for norm 0."""
    if bound <= 0:
        return (norms == 0).astype(np.float64)
    return np.minimum(1.0, bound / np.where(norms > bound, norms, bound))


def combine(weights: Float64, rows: FloatMatrix) -> Float64:
    """Return sum_i weights[i] rows[i], `float64[P]`."""
    total = np.empty(rows.shape[1])
    for at in column_blocks(rows):
        total[at] = weights @ rows[:, at].astype(np.float64)
    return total


def lowest(scores: Float64, scale: float) -> int:
    """Return the first index whose score is the smallest within rounding (1e-9 of `scale`)."""
    return int(np.flatnonzero(scores <= scores.min() + 1e-9 * scale)[0])
