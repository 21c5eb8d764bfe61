"""Items that are labelled: what the simulator alone knows of them, and what annotators perceive."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mechanisms.vocabulary import Labels
from sim.labelling.settings import LabellingSettings


class BoughtLabels(NamedTuple):
    """Labels that were bought: `int64[n]` rows of the items and labels, `float64[n]` weights."""

    rows: NDArray[np.int64]
    labels: Labels
    weights: NDArray[np.float64]


@dataclass(frozen=True)
class Items:
    """What can be labelled, by row.

    labels      `int64[N]`: the true ones, 0..options-1
    difficulty  `float64[N]` in 0..1: 0 is as easy as can be, 1 cannot be told from guessing
    options     how many labels there are
    reference   returns by row what a questionnaire calls the item, such as a digest of its content
    """

    labels: Labels
    difficulty: NDArray[np.float64]
    options: int
    reference: Callable[[int], str] = "item:{}".format

    def chances(self, rows: Sequence[int], skill: float) -> NDArray[np.float64]:
        """Return the probability of perceiving the true label of each row, `float64[n]`.

        It is the skill for an easy item, and that of a guess for the most difficult one.
        """
        guess = 1 / self.options
        return guess + (skill - guess) * (1 - self.difficulty[np.asarray(rows)])

    def perceived(self, rows: Sequence[int], skill: float, rng: np.random.Generator) -> Labels:
        """Draw what somebody perceives of some rows, `int64[n]`: all wrong labels are as likely."""
        truth = self.labels[np.asarray(rows)]
        right = rng.random(len(truth)) < self.chances(rows, skill)
        away = rng.integers(1, self.options, len(truth))
        return np.where(right, truth, (truth + away) % self.options)


def items_of(
    x: NDArray[np.float32],
    y: Labels,
    options: int,
    settings: LabellingSettings,
    rng: np.random.Generator,
) -> Items:
    """Return samples as items: each is called by the SHA-256 of its content.

    Args:
        x: `float32[N, ...]`, features of the samples.
        y: `int64[N]`, their true labels.
        options: how many labels there are.
        settings: how difficult they are.
        rng: for the difficulty.
    """

    def reference(row: int) -> str:
        return hashlib.sha256(x[row].tobytes()).hexdigest()

    difficulty = drawn_difficulty(len(y), settings.difficulty, settings.difficulty_spread, rng)
    return Items(y, difficulty, options, reference)


def drawn_difficulty(
    n: int, mean: float, spread: float, rng: np.random.Generator
) -> NDArray[np.float64]:
    """Draw the difficulty of n items, uniform in mean +- spread and cut to 0..1."""
    return np.clip(mean + spread * rng.uniform(-1, 1, n), 0.0, 1.0)
