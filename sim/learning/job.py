"""What one device is asked to train, as a schedule of mini-batches."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray


@dataclass(frozen=True)
class TrainingJob:
    """Local training of one device.

    `start` is the row `float32[P]` to begin from; `order` is `int64[epochs, n]`, for each epoch the indices into the
    engine's training set in the order they are visited. `seed` feeds stochastic layers (dropout).
    """

    start: NDArray[np.float32]
    order: NDArray[np.int64]
    seed: int = 0

    @property
    def epochs(self) -> int:
        return self.order.shape[0]


def schedule(order: NDArray[np.int64], batch_size: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Mini-batches of all epochs: indices `int64[steps, B]` and weights `float64[steps, B]`.

    The last batch of an epoch may be short: its missing samples have weight 0, the others 1 / (samples in the batch).
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
