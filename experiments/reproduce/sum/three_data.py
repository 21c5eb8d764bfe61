"""Three data whose effect on the accuracy is known: samples and model of `defects.toml`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sim.data.sources.base import Dataset, DatasetSource
from sim.online.base import Labels, OnlineModel
from sim.online.samples import Rows

TENTHS = (0, 2, -1, 1)
"""By row of the training samples: tenths by which learning it moves the accuracy."""
START = 5


class ThreeData(DatasetSource):
    """Four training samples, and two test pieces with the ranks 0 to 9, all of class 1."""

    name = "three-data"
    summary = "four training samples, and the ranks 0 to 9 twice as test samples"

    def load(self, folder: Path) -> Dataset:
        ranks = np.tile(np.arange(10, dtype=np.float32), 2)[:, None]
        rows = np.arange(len(TENTHS))
        train = rows[:, None].astype(np.float32)
        return Dataset(self.name, train, rows % 2, ranks, np.ones(len(ranks), np.int64), 2)


class KnownSteps(OnlineModel):
    """Is right about a share of the ranks, 0.5 at first, which each row moves by its own step.

    The label of what it learns plays no role.
    """

    name = "known-steps"
    summary = "an accuracy that each training sample moves by a known step"

    def fit(self, rows: Rows, labels: Labels) -> None:
        self.level = START

    def update(self, row: int, label: int) -> None:
        self.level += TENTHS[row]
        self.version += 1

    def predict(self, rows: Rows) -> Labels:
        return (self.samples.dense(rows)[:, 0] < self.level).astype(np.int64)

    def state(self) -> Mapping[str, NDArray]:
        return {"level": np.array([self.level])}

    def load(self, state: Mapping[str, NDArray]) -> None:
        self.level = int(state["level"][0])
