"""Gaussian classes with a known Bayes accuracy."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mechanisms.plugin import PluginError, param
from sim.data.sources.base import Dataset, DatasetSource


class Synthetic(DatasetSource):
    """Class c is N(d/sqrt(2) e_c, I): every two means are d = `separation` apart.

    For two classes the Bayes accuracy is Phi(d / 2) exactly; for more it is the integral in
    `bayes_accuracy`.
    """

    name = "synthetic"
    summary = "equidistant Gaussian classes with a known best accuracy"
    reference = "equicorrelated Gaussian discrimination; Fukunaga 1990, section 3.2"
    stochastic = True

    @dataclass(frozen=True)
    class Params:
        train: int = param(2_000, help="training samples", unit="samples", ge=1, le=10**7)
        test: int = param(1_000, help="test samples", unit="samples", ge=1, le=10**7)
        features: int = param(20, help="features per sample", ge=2, le=10**5)
        classes: int = param(10, help="number of classes", ge=2, le=1000)
        separation: float = param(
            4.0, help="distance between the means of two classes", unit="standard deviations", gt=0
        )
        side: int = param(
            0, help="shape samples as 1 x side x side images; needs features = side * side; 0: flat"
        )
        seed: int = param(
            0,
            help="seed of the generator (not the run's seed: the set is the same in every run)",
            ge=0,
        )

        def __post_init__(self) -> None:
            if self.classes > self.features:
                raise PluginError(
                    f"must be at most features = {self.features} (one axis per class)",
                    "classes",
                    self.classes,
                )
            if self.side and self.side**2 != self.features:
                raise PluginError(
                    f"side * side must equal features = {self.features}", "side", self.side
                )

    params: Params

    def load(self, folder: Path) -> Dataset:
        p = self.params
        rng = np.random.default_rng(p.seed)
        n = p.train + p.test
        y = rng.permutation(np.arange(n) % p.classes).astype(np.int64)
        x = rng.standard_normal((n, p.features), dtype=np.float32)
        x[np.arange(n), y] += np.float32(p.separation / math.sqrt(2))
        if p.side:
            x = x.reshape(n, 1, p.side, p.side)
        return Dataset(self.name, x[: p.train], y[: p.train], x[p.train :], y[p.train :], p.classes)

    def bayes_accuracy(self) -> float:
        """Return E[Phi(Z + d/sqrt(2))^(classes - 1)], Z standard normal.

        This is the probability that the true axis holds the largest coordinate.
        """
        nodes, weights = np.polynomial.hermite_e.hermegauss(120)
        shift = self.params.separation / math.sqrt(2)
        phi = np.array([0.5 * math.erfc(-(z + shift) / math.sqrt(2)) for z in nodes])
        return float((weights * phi ** (self.params.classes - 1)).sum() / math.sqrt(2 * math.pi))
