"""What attackers compute from the updates of others."""

from __future__ import annotations

import numpy as np

from mechanisms.geometry import column_blocks
from mechanisms.vocabulary import FloatMatrix, Submission, WorkerObservation


def honest_rows(seen: WorkerObservation) -> FloatMatrix:
    """The updates of the workers outside the group; the group's own where there is nobody else."""
    return seen.updates if seen.others is None or len(seen.others) == 0 else seen.others


def mean_and_deviation(seen: WorkerObservation) -> tuple[FloatMatrix, FloatMatrix]:
    """Mean and (population) standard deviation of each coordinate of the honest rows, `float32[P]` each."""
    rows = honest_rows(seen)
    mean, deviation = np.empty((2, rows.shape[1]), dtype=np.float32)
    for at in column_blocks(rows):
        block = rows[:, at].astype(np.float64)
        mean[at], deviation[at] = block.mean(axis=0), block.std(axis=0)
    return mean, deviation


def same_row(seen: WorkerObservation, row: FloatMatrix) -> Submission:
    """All devices of the group send one row and claim the work that was asked for."""
    return Submission(np.tile(row, (len(seen.devices), 1)), seen.samples, seen.epochs)
