"""scikit-learn's embedded digits: 1,797 real images of 8 x 8, no download."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from sim.data.sources.base import Dataset, DatasetSource


class Digits(DatasetSource):
    """Every fifth image is a test image (359), the others train (1,438); grey levels in 0..1."""

    name = "digits"
    summary = "scikit-learn digits, 8x8, 1,438 train / 359 test, embedded"
    reference = "Alpaydin and Kaynak 1998, UCI Optical Recognition of Handwritten Digits"

    def load(self, folder: Path) -> Dataset:
        from sklearn.datasets import load_digits

        bunch = load_digits()
        x = (bunch.images / 16.0).astype(np.float32)[:, None]
        y = bunch.target.astype(np.int64)
        test = np.arange(len(y)) % 5 == 4
        return Dataset(self.name, x[~test], y[~test], x[test], y[test], 10)
