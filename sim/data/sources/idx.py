"""MNIST and Fashion-MNIST from their IDX files, checked by SHA-256."""

from __future__ import annotations

import gzip
import hashlib
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np

from mechanisms.plugin import param
from sim.data.sources.base import DataError, Dataset, DatasetSource

_TYPES = {0x08: np.dtype(">u1")}


def read_idx(path: Path) -> np.ndarray:
    """Return the array of a gzipped IDX file of unsigned bytes; raises `DataError` otherwise."""
    try:
        raw = gzip.decompress(path.read_bytes())
    except (OSError, EOFError) as error:
        raise DataError(f"{path}: cannot be read as gzip ({error})") from error
    if len(raw) < 4 or raw[:2] != b"\0\0" or raw[2] not in _TYPES:
        raise DataError(f"{path}: not an IDX file of unsigned bytes")
    ndim = raw[3]
    shape = tuple(int(n) for n in np.frombuffer(raw, dtype=">u4", count=ndim, offset=4))
    body = np.frombuffer(raw, dtype=np.uint8, offset=4 + 4 * ndim)
    if body.size != int(np.prod(shape)):
        raise DataError(f"{path}: header says {shape}, file holds {body.size} bytes")
    return body.reshape(shape)


@dataclass(frozen=True)
class IdxFile:
    """One file of a data set: its name and the SHA-256 of the gzipped bytes."""

    name: str
    sha256: str


class IdxSource(DatasetSource):
    """Four gzipped IDX files in `<folder>/<subfolder>/`."""

    subfolder: ClassVar[str] = ""
    urls: ClassVar[tuple[str, ...]] = ()
    files: ClassVar[dict[str, IdxFile]] = {}

    @dataclass(frozen=True)
    class Params:
        download: bool = param(
            False, help="fetch missing files from the public addresses into the data folder"
        )

    params: Params

    def read(self, folder: Path, key: str) -> np.ndarray:
        """Return the array of one of the files, fetched if allowed, its checksum verified."""
        file = self.files[key]
        path = folder / self.subfolder / file.name
        if not path.is_file():
            if not self.params.download:
                raise DataError(
                    f"data set {self.name!r} needs {path}: set FEDSTAKE_DATA or --data to the "
                    "folder that holds "
                    f"{self.subfolder}/{file.name}, or [data.params] download = true to fetch "
                    f"it from {self.urls[0]}{file.name}"
                )
            self._fetch(file, path)
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        if digest != file.sha256:
            raise DataError(
                f"{path}: SHA-256 is {digest}, should be {file.sha256}; delete it and fetch it "
                "again"
            )
        return read_idx(path)

    def images(self, folder: Path, key: str) -> np.ndarray:
        """Return `float32[N, 1, 28, 28]` in 0..1 as in VBFL: pixel / 255, no normalisation."""
        return (self.read(folder, key).astype(np.float32) / np.float32(255))[:, None]

    def labels(self, folder: Path, key: str) -> np.ndarray:
        return self.read(folder, key).astype(np.int64)

    def _fetch(self, file: IdxFile, path: Path) -> None:
        import urllib.request

        with _holding(path.parent):
            path.parent.mkdir(parents=True, exist_ok=True)
        failures = []
        for base in self.urls:
            try:
                with urllib.request.urlopen(base + file.name, timeout=60) as response:  # noqa: S310 (the addresses above)
                    body = response.read()
            except OSError as error:
                failures.append(f"{base}{file.name}: {error}")
                continue
            digest = hashlib.sha256(body).hexdigest()
            if digest != file.sha256:
                failures.append(f"{base}{file.name}: SHA-256 is {digest}")
                continue
            with _holding(path.parent):
                with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as partial:
                    partial.write(body)
                os.replace(partial.name, path)
            return
        raise DataError(f"cannot fetch {file.name}: " + "; ".join(failures))


@contextmanager
def _holding(folder: Path) -> Iterator[None]:
    """Say of a folder that cannot be written that it cannot hold what is fetched."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or error
        raise DataError(
            f"{folder}: cannot hold the files to fetch ({reason}); name a folder with --data or "
            "FEDSTAKE_DATA"
        ) from error


class Mnist(IdxSource):
    """The full data set."""

    name = "mnist"
    summary = "MNIST, 28x28, 60,000 train / 10,000 test, from IDX files"
    reference = "LeCun, Cortes and Burges 1998"
    subfolder = "mnist"
    urls: ClassVar[tuple[str, ...]] = (
        "https://storage.googleapis.com/cvdf-datasets/mnist/",
        "https://ossci-datasets.s3.amazonaws.com/mnist/",
    )
    files: ClassVar[dict[str, IdxFile]] = {
        "train_x": IdxFile(
            "train-images-idx3-ubyte.gz",
            "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
        ),
        "train_y": IdxFile(
            "train-labels-idx1-ubyte.gz",
            "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
        ),
        "test_x": IdxFile(
            "t10k-images-idx3-ubyte.gz",
            "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
        ),
        "test_y": IdxFile(
            "t10k-labels-idx1-ubyte.gz",
            "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
        ),
    }

    def load(self, folder: Path) -> Dataset:
        x_train, y_train = self.images(folder, "train_x"), self.labels(folder, "train_y")
        x_test, y_test = self.images(folder, "test_x"), self.labels(folder, "test_y")
        return Dataset(self.name, x_train, y_train, x_test, y_test, 10)


class FashionMnist(Mnist):
    """Ten classes of clothes in the format of MNIST."""

    name = "fashion-mnist"
    summary = "Fashion-MNIST, 28x28, 60,000 train / 10,000 test, from IDX files"
    reference = "Xiao, Rasul and Vollgraf 2017, arXiv:1708.07747"
    subfolder = "fashion-mnist"
    # The authors' bucket is a website endpoint that speaks only http; checksums guard both.
    urls: ClassVar[tuple[str, ...]] = (
        "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/",
        "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
    )
    files: ClassVar[dict[str, IdxFile]] = {
        "train_x": IdxFile(
            "train-images-idx3-ubyte.gz",
            "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
        ),
        "train_y": IdxFile(
            "train-labels-idx1-ubyte.gz",
            "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
        ),
        "test_x": IdxFile(
            "t10k-images-idx3-ubyte.gz",
            "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
        ),
        "test_y": IdxFile(
            "t10k-labels-idx1-ubyte.gz",
            "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5",
        ),
    }


class Mnist10k(Mnist):
    """MNIST's t10k files alone, split in file order: small and real."""

    name = "mnist-10k"
    summary = "the t10k files of MNIST split 8,000 train / 2,000 test in file order"
    reference = "LeCun, Cortes and Burges 1998"
    TRAIN = 8_000

    def load(self, folder: Path) -> Dataset:
        x, y = self.images(folder, "test_x"), self.labels(folder, "test_y")
        return Dataset(
            self.name, x[: self.TRAIN], y[: self.TRAIN], x[self.TRAIN :], y[self.TRAIN :], 10
        )
