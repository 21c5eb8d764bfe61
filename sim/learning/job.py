"""The local training of one device, and its schedule of mini-batches."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray


@dataclass(frozen=True)
class TrainingJob:
    """Local training of one device."""

    start: NDArray[np.float32]
    """Row `float32[P]` to begin from."""
    order: NDArray[np.int64]
    """`int64[epochs, n]`: per epoch the indices into the training set, in the order of visit."""
    seed: int = 0
    """Seed of stochastic layers (dropout)."""

    @property
    def epochs(self) -> int:
        return self.order.shape[0]


def schedule(order: NDArray[np.int64], batch_size: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Return all mini-batches: indices `int64[steps, B]` and weights `float64[steps, B]`.

    The last batch of an epoch may be short: its missing samples have weight 0, the others
    1 / (samples in the batch).
    """
    epochs, n = order.shape
    per_epoch = -(-n // batch_size)
    padded = np.zeros((epochs, per_epoch * batch_size), dtype=np.int64)
    padded[:, :n] = order
    weights = np.zeros(per_epoch * batch_size)
    weights[:n] = 1.0
    by_batch = weights.reshape(per_epoch, batch_size)
    by_batch /= by_batch.sum(axis=1, keepdims=True)
    tiled = np.tile(by_batch, (epochs, 1))
    return torch.from_numpy(padded.reshape(-1, batch_size)), torch.from_numpy(tiled)
