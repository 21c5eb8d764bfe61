"""A file of NumPy arrays: the user's own samples."""

from __future__ import annotations

import io
import tokenize
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from mechanisms.plugin import param
from sim.data.npy import read_header
from sim.data.sources.base import DataError, Dataset
from sim.data.sources.own_file import MOST_BYTES, OwnFile, classes_of

KEYS = ("X_train", "y_train", "X_test", "y_test")
UNREADABLE = (
    KeyError,
    TypeError,
    ValueError,
    OverflowError,
    EOFError,
    OSError,
    RuntimeError,
    MemoryError,
    SyntaxError,
    tokenize.TokenError,
    zlib.error,
)
"""What damaged and forged arrays raise."""
WRITE = f"write it with numpy.savez(file, {', '.join(f'{key}=...' for key in KEYS)})"


class Npz(OwnFile):
    """Arrays `X_train`, `y_train`, `X_test`, `y_test` of one `.npz` file, rows in its order.

    `X_*` `[n, ...]` are integers, real numbers or booleans, taken as they are; `y_*` `[n]` are the
    whole numbers 0..k-1, every class at least once. Nothing in the file is executed: arrays of
    Python objects are refused.
    """

    name = "npz"
    summary = "your own file of NumPy arrays: X_train, y_train, X_test, y_test"
    reference = "NumPy's .npz format, NEP 1"
    examples = ({"file": "samples.npz"},)

    @dataclass(frozen=True)
    class Params:
        file: str = param(help="the .npz file, in the data folder or by its whole path")

    params: Params

    def load(self, folder: Path) -> Dataset:
        path, raw = self.content(folder)
        try:
            archive = zipfile.ZipFile(io.BytesIO(raw))
        except (zipfile.BadZipFile, NotImplementedError, ValueError):
            raise DataError(f"{path}: is no .npz file; {WRITE}") from None
        there = [name.removesuffix(".npy") for name in archive.namelist()]
        missing = [key for key in KEYS if key not in there]
        if missing:
            held = ", ".join(sorted(there)[:8]) or "nothing"
            raise DataError(f"{path}: holds no array {missing[0]}, but {held}; {WRITE}")
        x_train, y_train, x_test, y_test = (_array(path, archive, key) for key in KEYS)
        for part, x, y in (("train", x_train, y_train), ("test", x_test, y_test)):
            _check_shapes(path, part, x, y)
        if x_test.shape[1:] != x_train.shape[1:]:
            raise DataError(
                f"{path}: X_test holds samples of shape {x_test.shape[1:]}; it must be that of "
                f"X_train, {x_train.shape[1:]}"
            )
        classes = classes_of(path, [("y_train", y_train), ("y_test", y_test)])
        return Dataset(path.name, x_train, y_train, x_test, y_test, classes)


def _array(path: Path, archive: zipfile.ZipFile, key: str) -> NDArray[Any]:
    """Return one array, whose header is checked before its values are read."""
    member = f"{key}.npy"
    try:
        with archive.open(member) as file:
            shape, _, dtype = read_header(file)
        if dtype.hasobject or dtype.kind not in "biuf":
            raise DataError(f"{path}: {key} is of type {dtype}; give integers or real numbers")
        size = dtype.itemsize * int(np.prod(shape, dtype=object))
        if size > MOST_BYTES:
            raise DataError(f"{path}: {key} of shape {shape} has more than {MOST_BYTES:,} bytes")
        with archive.open(member) as file:
            array = npy.read_array(file, allow_pickle=False)
    except DataError:
        raise
    except UNREADABLE as error:
        reason = " ".join(str(error).split())
        raise DataError(f"{path}: {key} cannot be read ({reason[:100]}); {WRITE}") from None
    except zipfile.BadZipFile:
        raise DataError(f"{path}: {key} is damaged, its checksum is another") from None
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        raise DataError(f"{path}: {key} holds values that are not finite")
    return array.astype(np.uint8) if array.dtype.kind == "b" else array


def _check_shapes(path: Path, part: str, x: NDArray[Any], y: NDArray[Any]) -> None:
    """Refuse arrays that are no samples and their labels."""
    if x.ndim < 2 or not x.size:
        raise DataError(
            f"{path}: X_{part} has shape {x.shape}; it must be (samples, features), at least one "
            "of each"
        )
    if y.shape != (len(x),):
        raise DataError(
            f"{path}: y_{part} has shape {y.shape}; it must be ({len(x)},), one label for each "
            f"sample of X_{part}"
        )
