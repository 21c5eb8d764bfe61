"""Small sets for data markets: embedded ones of two classes, and generated ones."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mechanisms.plugin import param
from sim.data.sources.base import Dataset, DatasetSource

SEED = "seed of the generator (not the run's seed: the set is the same in every run)"


class BreastCancer(DatasetSource):
    """30 features of 569 tumours, malignant 0 or benign 1; every fifth is a test sample (113).

    "standard" features have mean 0 and standard deviation 1 over the training samples; "binary"
    ones are 1 above the median of the training samples.
    """

    name = "breast-cancer"
    summary = "scikit-learn breast cancer, 30 features, 456 train / 113 test, embedded"
    reference = "Street, Wolberg and Mangasarian 1993, UCI Breast Cancer Wisconsin (Diagnostic)"
    examples = ({}, {"form": "binary"})

    @dataclass(frozen=True)
    class Params:
        form: str = param("standard", help="how features are given", choices=("standard", "binary"))

    params: Params

    def load(self, folder: Path) -> Dataset:
        from sklearn.datasets import load_breast_cancer

        bunch = load_breast_cancer()
        x, y = bunch.data, bunch.target
        test = np.arange(len(y)) % 5 == 4
        train = x[~test]
        if self.params.form == "binary":
            x = x > np.median(train, 0)
        else:
            x = (x - train.mean(0)) / train.std(0)
        x = x.astype(np.float32)
        return Dataset(self.name, x[~test], y[~test], x[test], y[test], 2)


class FitnessLike(DatasetSource):
    """Six stats of a workout, above their training median or not, and gender in three columns.

    Generated: each stat is normal with standard deviation 1, and `separation` larger for class 1
    (runs) than for class 0 (rides), shrinking by a tenth from stat to stat; gender tells nothing.
    By default naive Bayes is right in about 94 %, centroids in 97 %, perceptrons in 96 %.
    """

    name = "fitness-like"
    summary = "generated workouts, ride or run: 6 thresholded stats and gender, 9 binary features"
    reference = "generated; shape of the Endomondo set as 0xDeCA10B uses it"
    stochastic = True

    @dataclass(frozen=True)
    class Params:
        train: int = param(3_500, help="training samples", unit="samples", ge=1, le=10**6)
        test: int = param(1_500, help="test samples", unit="samples", ge=1, le=10**6)
        separation: float = param(
            2.4, help="distance of the classes in the first stat", unit="standard deviations", ge=0
        )
        seed: int = param(0, help=SEED, ge=0)

    params: Params

    def load(self, folder: Path) -> Dataset:
        p = self.params
        rng = np.random.default_rng(p.seed)
        n = p.train + p.test
        y = rng.permutation(np.arange(n) % 2)
        stats = rng.normal(size=(n, 6)) + p.separation * y[:, None] * 0.9 ** np.arange(6)
        above = stats > np.median(stats[: p.train], 0)
        gender = np.eye(3)[rng.choice(3, n, p=(0.7, 0.25, 0.05))]
        x = np.concatenate([above, gender], 1).astype(np.float32)
        return Dataset(self.name, x[: p.train], y[: p.train], x[p.train :], y[p.train :], 2)


class Simple(DatasetSource):
    """Points of three whole numbers in -9..9, never 0; class 1 where x_0 x_2 > 0."""

    name = "simple"
    summary = "generated points of three integers, class [x0 x2 > 0], 20 train / 11 test"
    reference = "generated; shape of the smallest set of 0xDeCA10B's simulation"
    stochastic = True

    @dataclass(frozen=True)
    class Params:
        train: int = param(20, help="training samples", unit="samples", ge=1, le=10**6)
        test: int = param(11, help="test samples", unit="samples", ge=1, le=10**6)
        seed: int = param(0, help=SEED, ge=0)

    params: Params

    def load(self, folder: Path) -> Dataset:
        p = self.params
        rng = np.random.default_rng(p.seed)
        x = rng.integers(1, 10, (p.train + p.test, 3)) * rng.choice([-1, 1], (p.train + p.test, 3))
        y = (x[:, 0] * x[:, 2] > 0).astype(np.int64)
        x = x.astype(np.float32)
        return Dataset(self.name, x[: p.train], y[: p.train], x[p.train :], y[p.train :], 2)
