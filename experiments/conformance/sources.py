"""Suites of data sets and models."""

from __future__ import annotations

from typing import Any
from unittest import SkipTest

import numpy as np
import torch

from experiments.conformance.common import Conformance, check_array, check_equal
from sim.data.folder import data_folder
from sim.data.sources.base import DataError, Dataset
from sim.learning.engine import changed_by_training

ARRAYS = ("x_train", "y_train", "x_test", "y_test")
SHAPES = ((6,), (1, 8, 8), (1, 28, 28), (3, 32, 32))


class DatasetConformance(Conformance):
    """The same samples every time, `float32`, with labels `int64` in 0..classes-1."""

    def test_arrays(self):
        for source in self.made():
            data = self._load(source)
            assert data.classes >= 2, "there must be at least two classes"
            self._check_part(data, data.x_train, data.y_train, "train")
            self._check_part(data, data.x_test, data.y_test, "test")
            again = self._load(source)
            for name in ARRAYS:
                check_equal(
                    getattr(data, name),
                    getattr(again, name),
                    f"loading twice gives other values of {name}",
                )

    @staticmethod
    def _load(source: Any) -> Dataset:
        try:
            return source.load(data_folder())
        except DataError as error:
            raise SkipTest(str(error)) from None

    @staticmethod
    def _check_part(data: Dataset, x: np.ndarray, y: np.ndarray, part: str) -> None:
        n = len(x)
        assert n, f"there are no {part} samples"
        check_array(x, (n, *data.shape), np.float32, f"x_{part}")
        check_array(y, (n,), np.int64, f"y_{part}")
        assert np.isfinite(x).all(), f"x_{part} is not finite"
        assert y.min() >= 0, f"y_{part} has a label below 0"
        assert y.max() < data.classes, f"y_{part} has a label that is no class"


class ModelConformance(Conformance):
    """One row of logits per sample of a shape that fits; ValueError for shapes that do not.

    No buffer of a model changes in training, as those of batch norm do: they cannot be averaged row
    by row.
    """

    def test_logits(self):
        for source in self.made():
            fitting = [shape for shape in SHAPES if self._fits(source, shape)]
            assert fitting, f"takes samples of none of the shapes {SHAPES}"

    @staticmethod
    def _fits(source: Any, shape: tuple[int, ...]) -> bool:
        """Return whether the model takes samples of that shape; fail when it takes them badly."""
        try:
            module = source.build(shape, 3)
        except ValueError:
            return False
        changed = changed_by_training(module, torch.zeros(1, *shape))
        assert not changed, f"training changes the buffer {changed}; use group norm, not batch norm"
        module.eval()
        with torch.no_grad():
            logits = module(torch.zeros(4, *shape))
        check_array(logits.numpy(), (4, 3), np.float32, "logits")
        assert torch.isfinite(logits).all(), "a logit is not finite"
        return True
