"""Label flipping."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from agents.workers.base import WorkerBehaviour
from mechanisms.plugin import PluginError, param
from mechanisms.vocabulary import DataObservation, Submission, WorkerObservation


class LabelFlip(WorkerBehaviour):
    """Trains as asked on wrong labels: y <- classes - 1 - y, or source -> target."""

    name = "label-flip"
    summary = "trains on flipped labels"
    reference = (
        "Tolpegin et al. 2020, arXiv:2007.08432; Fang et al. 2020, arXiv:1911.11815 (classes - 1 "
        "- y)"
    )

    @dataclass(frozen=True)
    class Params:
        source: int = param(-1, help="class to relabel; -1: all classes", ge=-1)
        target: int = param(-1, help="class that it becomes; -1: classes - 1 - y", ge=-1)

        def __post_init__(self) -> None:
            if self.source == self.target != -1:
                raise PluginError("must differ from source", "target", self.target)

    params: Params

    def poison(self, seen: DataObservation) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        p = self.params
        if max(p.source, p.target) >= seen.classes:
            raise PluginError(
                f"classes are numbered 0..{seen.classes - 1}", "target", max(p.source, p.target)
            )
        return seen.x, self._flipped(seen)

    def probe(self, seen: DataObservation) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        flipped = self._flipped(seen)
        aim = flipped != seen.y
        return seen.x[aim], flipped[aim]

    def _flipped(self, seen: DataObservation) -> NDArray[np.int64]:
        p = self.params
        flipped = np.full_like(seen.y, p.target) if p.target >= 0 else seen.classes - 1 - seen.y
        return np.where((seen.y == p.source) | (p.source < 0), flipped, seen.y)

    def submit(self, seen: WorkerObservation) -> Submission:
        return Submission(seen.updates, seen.samples, seen.epochs)
