"""A data set source loads images (or features) and labels."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fedstake.errors import InputError
from mechanisms.plugin import Plugin


class DataError(InputError):
    """Data that is missing or not as expected."""


@dataclass(frozen=True)
class Dataset:
    """Samples and labels in a fixed order.

    `x` is `float32[N, C, H, W]` (or `[N, features]`), `y` is `int64[N]` in 0..classes-1.
    """

    name: str
    x_train: NDArray[np.float32]
    y_train: NDArray[np.int64]
    x_test: NDArray[np.float32]
    y_test: NDArray[np.int64]
    classes: int

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one sample."""
        return self.x_train.shape[1:]


class DatasetSource(Plugin, ABC):
    """Base of data sources. `load` returns the same arrays every time.

    Which device holds which sample is decided elsewhere.
    """

    @abstractmethod
    def load(self, folder: Path) -> Dataset:
        """Load the data set; raises `DataError`.

        `folder` holds its files (`FEDSTAKE_DATA`, `--data` or the user's cache).
        """
