"""Arrays by name from a file that `numpy.savez` wrote, and that somebody may have changed since."""

from __future__ import annotations

import io
import math
import zipfile
from pathlib import Path

import numpy as np

from fedstake.outside import RECORD_BYTES, UnreadableError, read_bytes, shown
from sim.data.npy import read_header

ENCRYPTED = 1
"""Bit of a member's flags."""


def read_arrays(path: Path) -> dict[str, np.ndarray]:
    """Return all arrays of a file; raises `UnreadableError` for one that is damaged or forged.

    Nothing in the file is executed, and no array is made that is larger than the file.
    """
    raw = read_bytes(path, RECORD_BYTES)
    try:
        with zipfile.ZipFile(io.BytesIO(raw)) as archive:
            members = archive.infolist()
            return {m.filename.removesuffix(".npy"): _array(archive, m) for m in members}
    except Exception as error:  # zipfile and NumPy raise whatever damage makes them stumble over
        reason = shown(" ".join(str(error).split())) or type(error).__name__
        raise UnreadableError(path, f"holds no arrays that can be read ({reason})") from error


def _array(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> np.ndarray:
    """Return one array, whose header is checked before room for its values is taken."""
    if member.compress_type != zipfile.ZIP_STORED or member.flag_bits & ENCRYPTED:
        raise ValueError(f"{member.filename}: packed or encrypted")
    body = archive.read(member)
    file = io.BytesIO(body)
    shape, by_column, dtype = read_header(file)
    if dtype.hasobject:
        raise ValueError(f"{member.filename}: Python objects")
    if dtype.itemsize * math.prod(shape) != len(body) - file.tell():
        raise ValueError(f"{member.filename}: shape {shape} does not fit its size")
    array = np.ndarray(shape, dtype, body, file.tell(), order="F" if by_column else "C")
    return array.copy(order="K")
