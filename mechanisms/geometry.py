"""Geometry of rows: norms and distances in float64, block by block, so that memory stays near that of the rows.

Everything takes `float32[n, P]` and works on columns in blocks. Distances come from the Gram matrix of the centred rows
(one symmetric product), which keeps 16 digits where rows lie close together.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from mechanisms.vocabulary import FloatMatrix

BLOCK_BYTES = 32 << 20
Float64 = NDArray[np.float64]


def column_blocks(rows: FloatMatrix, itemsize: int = 8) -> Iterator[slice]:
    """Slices of columns such that `n` rows of a block take about `BLOCK_BYTES`."""
    n, size = rows.shape
    step = max(1, BLOCK_BYTES // max(1, n * itemsize))
    for start in range(0, size, step):
        yield slice(start, min(size, start + step))


def squared_norms(rows: FloatMatrix, origin: NDArray[np.floating] | None = None) -> Float64:
    """`float64[n]`: squared distances of the rows to `origin` `[P]` (zero when None)."""
    total = np.zeros(len(rows))
    for at in column_blocks(rows):
        block = rows[:, at].astype(np.float64)
        if origin is not None:
            block -= origin[at]
        total += np.einsum("ij,ij->i", block, block)
    return total


def gram(rows: FloatMatrix, origin: NDArray[np.floating] | None = None) -> Float64:
    """`float64[n, n]`: inner products of the rows seen from `origin` `[P]`, or from their own mean when None."""
    total = np.zeros((len(rows), len(rows)))
    for at in column_blocks(rows):
        block = rows[:, at].astype(np.float64)
        block -= block.mean(axis=0) if origin is None else origin[at]
        total += block @ block.T
    return total


def along_sum(rows: FloatMatrix, origin: NDArray[np.floating]) -> tuple[Float64, Float64]:
    """`float64[n]` twice: squared lengths of the rows seen from `origin` `[P]`, and inner products with the sum of them all."""
    own, along = np.zeros(len(rows)), np.zeros(len(rows))
    for at in column_blocks(
        rows, itemsize=8 * 64
    ):  # each block is read three times: let it stay in the cache
        block = rows[:, at].astype(np.float64)
        block -= origin[at]
        own += np.einsum("ij,ij->i", block, block)
        along += block @ block.sum(axis=0)
    return own, along


def squared_distances(rows: FloatMatrix) -> Float64:
    """`float64[n, n]`: squared Euclidean distances between rows; never negative, zero on the diagonal."""
    inner = gram(rows)
    own = np.diag(inner)
    distances = np.maximum(own[:, None] + own[None, :] - 2 * inner, 0.0)
    np.fill_diagonal(distances, 0.0)
    return distances


def cosines(rows: FloatMatrix, origin: FloatMatrix) -> Float64:
    """`float64[n, n]`: cosines between rows seen from `origin`; a row at the origin has cosine 0 with every other."""
    inner = gram(rows, origin)
    norms = np.sqrt(np.diag(inner))
    norms[norms == 0] = np.inf
    return np.clip(inner / norms[:, None] / norms[None, :], -1.0, 1.0)


def cosines_to_sum(rows: FloatMatrix, origin: FloatMatrix, *, others: bool = False) -> Float64:
    """`float64[n]`: cosine of each row to the sum of all, or of the others, seen from `origin`; 0 where either has no length."""
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
"""Differences of squared lengths that are smaller than this part of them are rounding."""


def clip_factors(norms: Float64, bound: float) -> Float64:
    """min(1, bound / norm); 1 where the norm is 0."""
    return (
        np.minimum(1.0, bound / np.where(norms > bound, norms, bound))
        if bound > 0
        else (norms == 0).astype(np.float64)
    )


def combine(weights: Float64, rows: FloatMatrix) -> Float64:
    """sum_i weights[i] rows[i], `float64[P]`."""
    total = np.empty(rows.shape[1])
    for at in column_blocks(rows):
        total[at] = weights @ rows[:, at].astype(np.float64)
    return total


def lowest(scores: Float64, scale: float) -> int:
    """Index of the smallest score; of those within rounding (1e-9 of `scale`) of it, the first."""
    return int(np.flatnonzero(scores <= scores.min() + 1e-9 * scale)[0])
