"""A data set source loads images (or features) and labels."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from fedstake.errors import InputError
from mechanisms.plugin import Plugin


class DataError(InputError):
    """Data that is missing or not as expected."""


@dataclass(frozen=True)
class Dataset:
    """Samples and labels in a fixed order, checked when it is made.

    `x` is `float32[N, C, H, W]` (or `[N, features]`), `y` is `int64[N]` in 0..classes-1. Other
    numbers are converted: integers, float64 and torch tensors to `float32` samples, whole numbers
    of any type to `int64` labels. Values are never scaled. All arrays are read-only.

    Raises `DataError` that names the array and what would be right: samples of one shape in both
    parts, as many labels as samples, at least one sample in each part, finite values, labels of
    classes that there are.
    """

    name: str
    x_train: NDArray[np.float32]
    y_train: NDArray[np.int64]
    x_test: NDArray[np.float32]
    y_test: NDArray[np.int64]
    classes: int

    def __post_init__(self) -> None:
        self._check_classes()
        for part in ("train", "test"):
            x = self._samples(f"x_{part}", getattr(self, f"x_{part}"))
            y = self._labels(f"y_{part}", getattr(self, f"y_{part}"), len(x))
            object.__setattr__(self, f"x_{part}", x)
            object.__setattr__(self, f"y_{part}", y)
        if self.x_test.shape[1:] != self.shape:
            raise self._wrong(
                f"x_test holds samples of shape {self.x_test.shape[1:]}; "
                f"it must be that of x_train, {self.shape}"
            )

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one sample."""
        return self.x_train.shape[1:]

    @cached_property
    def digest(self) -> str:
        """SHA-256 of all samples and labels, their shapes and the number of classes."""
        found = hashlib.sha256(str(self.classes).encode())
        for array in (self.x_train, self.y_train, self.x_test, self.y_test):
            found.update(f"{array.dtype.str}{array.shape}".encode())
            found.update(np.ascontiguousarray(array).data)
        return found.hexdigest()

    def _check_classes(self) -> None:
        whole = isinstance(self.classes, int | np.integer) and not isinstance(self.classes, bool)
        if not whole or self.classes < 2:
            raise self._wrong(
                f"classes is {self.classes!r}; it must be a whole number of 2 or more"
            )
        object.__setattr__(self, "classes", int(self.classes))

    def _samples(self, name: str, given: Any) -> NDArray[np.float32]:
        """Return samples as a read-only `float32` array."""
        array = self._numbers(name, given)
        if array.ndim < 2:
            raise self._wrong(
                f"{name} has {array.ndim} dimensions; it must have at least two, samples first"
            )
        if not array.size:
            raise self._wrong(f"{name} has shape {array.shape}; give at least one sample")
        with np.errstate(over="ignore"):
            x = array.astype(np.float32, copy=False).view()
        if not np.isfinite(x).all():
            raise self._wrong(f"{name} holds values that are not finite in float32")
        x.setflags(write=False)
        return x

    def _labels(self, name: str, given: Any, samples: int) -> NDArray[np.int64]:
        """Return labels as a read-only `int64` array."""
        array = self._numbers(name, given)
        if array.shape != (samples,):
            raise self._wrong(
                f"{name} has shape {array.shape}; it must be ({samples},), one label per sample"
            )
        with np.errstate(invalid="ignore"):
            y = array.astype(np.int64, copy=False).view()
        if not np.array_equal(y, array):
            raise self._wrong(f"{name} holds numbers that are not whole")
        outside = y[(y < 0) | (y >= self.classes)]
        if len(outside):
            raise self._wrong(
                f"{name} holds the label {outside[0]}; labels go from 0 to {self.classes - 1} "
                f"for classes = {self.classes}"
            )
        y.setflags(write=False)
        return y

    def _numbers(self, name: str, given: Any) -> NDArray[Any]:
        """Return an array of integers or real numbers."""
        try:
            array = np.asarray(given)
        except (TypeError, ValueError, RuntimeError) as error:
            raise self._wrong(f"{name} is no array of numbers ({error})") from error
        if array.dtype.kind not in "iuf":
            raise self._wrong(f"{name} is of type {array.dtype}; give integers or real numbers")
        return array

    def _wrong(self, what: str) -> DataError:
        return DataError(f"data set {self.name!r}: {what}")


class DatasetSource(Plugin, ABC):
    """Base of data sources. `load` returns the same arrays every time.

    Which device holds which sample is decided elsewhere.
    """

    own_files: ClassVar[bool] = False
    """Whether samples come from files of the user, which no checksum of ours holds: their content
    is part of a run's identity.
    """

    @abstractmethod
    def load(self, folder: Path) -> Dataset:
        """Load the data set; raises `DataError`.

        `folder` holds its files (`FEDSTAKE_DATA`, `--data` or the user's cache).
        """
