"""The header of an array in NumPy's format, read before room for its values is taken."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.lib import format as npy

READERS = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}


class Header(NamedTuple):
    """What the header of an array says: `by_column` of its values, as Fortran has them."""

    shape: tuple[int, ...]
    by_column: bool
    dtype: np.dtype[Any]


def read_header(file: Any) -> Header:
    """Return the header of the array in an open .npy file, which is left where the values begin.

    Raises `ValueError` for another version of the format, and whatever NumPy raises for a header
    that is damaged or forged. Nothing in it is executed.
    """
    version = npy.read_magic(file)
    if version not in READERS:
        raise ValueError(f"version {version} of the format, known are 1.0 and 2.0")
    return Header(*READERS[version](file))
