"""A labelling rule judges the answers to a task: what each is worth, and the label they come to."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from mechanisms.plugin import Plugin
from mechanisms.vocabulary import Judgement, LabellingObservation, Labels


class LabellingRule(Plugin, ABC):
    """Base of labelling rules. `observes` names what is shown: see `LabellingObservation`."""

    sees = LabellingObservation
    observes: ClassVar[frozenset[str]] = frozenset()

    @abstractmethod
    def judge(self, seen: LabellingObservation) -> Judgement:
        """Return what each answer is worth, and the label of each question; at least one row."""


def counted(answers: Labels, options: int) -> NDArray[np.int64]:
    """Return how often each label was given to each question, `int64[q, options]`."""
    return (answers[:, :, None] == np.arange(options)).sum(0)


def majority(answers: Labels, options: int) -> tuple[Labels, NDArray[np.float64]]:
    """Return the most frequent label of each question, the lowest of equals, and its share.

    `int64[q]` and `float64[q]`, of answers `int64[n, q]` with n >= 1.
    """
    counts = counted(answers, options)
    labels = counts.argmax(1)
    return labels, counts.max(1) / len(answers)
