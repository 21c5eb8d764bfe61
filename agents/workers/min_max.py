"""Min-max and min-sum: the largest deviation within the spread of the honest updates."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from agents.crowd import honest_rows, mean_and_deviation, same_row
from agents.workers.base import WorkerBehaviour
from mechanisms.geometry import inner_products, squared_distances, squared_norms
from mechanisms.plugin import param
from mechanisms.vocabulary import Submission, WorkerObservation


class _Spread(WorkerBehaviour):
    """Sends mean + gamma p with the largest gamma within a bound: a quadratic, solved exactly."""

    knows = frozenset({"others"})

    @dataclass(frozen=True)
    class Params:
        direction: str = param(
            "deviation",
            help="perturbation: minus the unit mean update, minus the standard deviations, or "
            "minus the signs of the mean update",
            choices=("unit", "deviation", "sign"),
        )

    params: Params

    def submit(self, seen: WorkerObservation) -> Submission:
        rows = honest_rows(seen)
        mean, deviation = mean_and_deviation(seen)
        update = mean.astype(np.float64) - seen.global_models[0]
        length = float(np.linalg.norm(update))
        away = {
            "unit": -update / length if length else -update,
            "deviation": -deviation.astype(np.float64),
            "sign": -np.sign(update),
        }[self.params.direction]
        # ||mean + gamma p - x_i||^2 = apart_i + 2 gamma along_i + gamma^2 square
        apart = squared_norms(rows, mean)
        along = -inner_products(rows, mean, away)
        square = float(away @ away)
        gamma = self.largest(apart, along, square, squared_distances(rows)) if square else 0.0
        return same_row(seen, (mean + gamma * away).astype(np.float32))

    @abstractmethod
    def largest(
        self,
        apart: NDArray[np.float64],
        along: NDArray[np.float64],
        square: float,
        distances: NDArray[np.float64],
    ) -> float:
        """Return the largest gamma >= 0 within the bound."""


class MinMax(_Spread):
    """Stays at most as far from every honest update as two honest updates are from each other."""

    name = "min-max"
    summary = "deviates as far as the largest distance between honest updates allows"
    reference = "Shejwalkar and Houmansadr 2021, NDSS, equation (min-max)"

    def largest(
        self,
        apart: NDArray[np.float64],
        along: NDArray[np.float64],
        square: float,
        distances: NDArray[np.float64],
    ) -> float:
        return float(np.min(_root(apart - distances.max(), along, square)))


class MinSum(_Spread):
    """Keeps its sum of squared distances to the honest updates within the largest honest sum."""

    name = "min-sum"
    summary = "deviates as far as the sum of distances between honest updates allows"
    reference = "Shejwalkar and Houmansadr 2021, NDSS, equation (min-sum)"

    def largest(
        self,
        apart: NDArray[np.float64],
        along: NDArray[np.float64],
        square: float,
        distances: NDArray[np.float64],
    ) -> float:
        n = len(apart)
        return float(_root(apart.sum() - distances.sum(axis=1).max(), along.sum(), n * square))


def _root(
    constant: NDArray[np.float64] | float, half_linear: NDArray[np.float64] | float, square: float
) -> NDArray[np.float64]:
    """Return the larger root of square * g^2 + 2 half_linear * g + constant = 0, at least 0."""
    half_linear, constant = np.asarray(half_linear), np.asarray(constant)
    inside = np.maximum(np.square(half_linear) - square * constant, 0.0)
    # Of the two forms of a root the one whose terms have the same sign.
    sides = np.sqrt(inside) + np.abs(half_linear)
    root = np.where(half_linear > 0, -constant, sides)
    below = np.where(half_linear > 0, sides, square)
    return np.maximum(root / below, 0.0)
