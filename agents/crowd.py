"""Statistics that attackers compute from the updates of others."""

from __future__ import annotations

import numpy as np

from mechanisms.geometry import column_blocks, combine
from mechanisms.vocabulary import FloatMatrix, Submission, WorkerObservation


def honest_rows(seen: WorkerObservation) -> FloatMatrix:
    """Return the updates of the workers outside the group, or the group's own if there are none."""
    if len(seen.others) == 0:
        return seen.updates
    return seen.others


def mean_and_deviation(seen: WorkerObservation) -> tuple[FloatMatrix, FloatMatrix]:
    """Return mean and population standard deviation of each coordinate of the honest rows.

    Both are `float32[P]`.
    """
    rows = honest_rows(seen)
    mean = combine(np.ones(len(rows)), rows) / len(rows)
    deviation = np.empty(rows.shape[1], dtype=np.float32)
    for at in column_blocks(rows):
        deviation[at] = rows[:, at].astype(np.float64).std(axis=0)
    return mean.astype(np.float32), deviation


def same_row(seen: WorkerObservation, row: FloatMatrix) -> Submission:
    """Submit one row for all devices of the group and claim the work that was asked for."""
    return Submission(np.tile(row, (len(seen.devices), 1)), seen.samples, seen.epochs)
