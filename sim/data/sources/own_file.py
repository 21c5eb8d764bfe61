"""What the sources share that read a file of the user."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from fedstake.outside import UnreadableError, read_bytes
from sim.data.sources.base import DataError, DatasetSource

MOST_BYTES = 8 << 30
"""Most bytes of a file, and of an array in it."""


class OwnFile(DatasetSource):
    """Base of sources with a parameter `file`, relative to the data folder or absolute."""

    own_files: ClassVar[bool] = True

    def content(self, folder: Path) -> tuple[Path, bytes]:
        """Return the file's path and its bytes; raises `DataError`."""
        path = folder / os.path.expanduser(self.params.file)
        try:
            return path, read_bytes(path, MOST_BYTES)
        except FileNotFoundError:
            raise DataError(
                f"data set {self.name!r}: there is no {path}; name a file in the data folder "
                f"(--data FOLDER or FEDSTAKE_DATA), or its whole path, with data.params.file"
            ) from None
        except UnreadableError as error:
            raise DataError(str(error)) from None


def classes_of(path: Path, labels: Sequence[tuple[str, NDArray[Any]]]) -> int:
    """Return the number of classes of labels given by name.

    Raises `DataError` unless they are the whole numbers from 0 on, each at least once, two at
    least.
    """
    for name, given in labels:
        if not np.isfinite(given).all() or (given != np.floor(given)).any():
            raise DataError(f"{path}: {name} holds labels that are not whole numbers from 0 on")
        if given.size and given.min() < 0:
            raise DataError(f"{path}: {name} holds the label {given.min():g}; labels count from 0")
    there = np.unique(np.concatenate([given.ravel() for _, given in labels])).tolist()
    if there != list(range(len(there))):
        absent = next(i for i in range(len(there)) if there[i] != i)
        names = " and ".join(name for name, _ in labels)
        raise DataError(
            f"{path}: no label of {names} is {absent}, the largest is {there[-1]:g}; "
            "number the classes from 0 without gaps"
        )
    if len(there) < 2:
        raise DataError(f"{path}: all labels are 0; there must be at least two classes")
    return len(there)
