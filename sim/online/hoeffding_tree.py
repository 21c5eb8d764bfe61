"""Hoeffding adaptive tree of river: it grows, and replaces branches that have drifted."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mechanisms.plugin import param
from sim.online.base import Labels, OnlineModel
from sim.online.samples import Rows

INSTALL = "pip install 'river>=0.26' (the extra fedstake[markets])"


class HoeffdingTree(OnlineModel):
    """Splits a leaf when the Hoeffding bound says that the best feature is the best.

    The state is what it has learned, sample by sample: restoring it learns them again, because
    trees of river can be kept in no other way that is safe to read. It is slow where features are
    many: meant for some dozens.
    """

    name = "hoeffding-tree"
    summary = "Hoeffding adaptive tree of river; for few features; needs fedstake[markets]"
    reference = "Bifet and Gavalda 2009, Adaptive Learning from Evolving Data Streams; river"
    stochastic = True

    @dataclass(frozen=True)
    class Params:
        grace: int = param(200, help="samples of a leaf between tries to split it", ge=1, le=10**9)
        delta: float = param(1e-7, help="probability that a split is wrong", gt=0, lt=1)
        seed: int = param(0, help="seed of the tree's sampling", ge=0, lt=2**32)

    params: Params

    def fit(self, rows: Rows, labels: Labels) -> None:
        try:
            importlib.import_module("river.tree")
        except ModuleNotFoundError:
            raise self._refusal(f"it needs river: {INSTALL}") from None
        self.load({"rows": rows, "labels": labels})

    def update(self, row: int, label: int) -> None:
        self._tree.learn_one(self._named(row), label)
        self._learned.append((row, label))
        self.version += 1

    def predict_one(self, row: int) -> int:
        shares = self._tree.predict_proba_one(self._named(row))
        return max(range(self.samples.classes), key=lambda label: shares.get(label, 0.0))

    def predict(self, rows: Rows) -> Labels:
        return np.array([self.predict_one(row) for row in rows.tolist()], dtype=np.int64)

    def state(self) -> Mapping[str, NDArray]:
        learned = np.array(self._learned, dtype=np.int64).reshape(-1, 2)
        return {"rows": learned[:, 0].copy(), "labels": learned[:, 1].copy()}

    def load(self, state: Mapping[str, NDArray]) -> None:
        from river.tree import HoeffdingAdaptiveTreeClassifier  # an extra

        p = self.params
        self._tree: Any = HoeffdingAdaptiveTreeClassifier(
            grace_period=p.grace, delta=p.delta, seed=p.seed
        )
        self._learned: list[tuple[int, int]] = []
        for row, label in zip(state["rows"].tolist(), state["labels"].tolist(), strict=True):
            self.update(row, label)

    def _named(self, row: int) -> dict[int, float]:
        """Return a sample as river takes it: values by feature."""
        return dict(enumerate(self.samples.dense(np.array([row]))[0].tolist()))
