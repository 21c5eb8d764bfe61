"""A targeted backdoor: a trigger in the corner of an image means the target class."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from agents.workers.base import WorkerBehaviour
from mechanisms.plugin import PluginError, param
from mechanisms.vocabulary import DataObservation, Submission, WorkerObservation


def trigger(x: NDArray[np.float32], size: int) -> NDArray[np.float32]:
    """Return samples `[n, *shape]` whose last `size` features hold the largest value of `x`.

    For images these are the last `size` rows and columns.
    """
    marked = x.copy()
    corner = marked[..., -size:, -size:] if x.ndim > 2 else marked[..., -size:]
    corner[...] = x.max() if x.size else 0
    return marked


class Backdoor(WorkerBehaviour):
    """Trains with a trigger and the target's label on part of its samples; may scale the update."""

    name = "backdoor"
    summary = "teaches the model that a corner patch means the target class"
    reference = (
        "Bagdasaryan et al. 2020, arXiv:1807.00459; Gu et al. 2017, arXiv:1708.06733 (pixel "
        "pattern)"
    )
    stochastic = True

    @dataclass(frozen=True)
    class Params:
        target: int = param(0, help="class that the trigger means", ge=0)
        fraction: float = param(
            0.5, help="share of the own samples that get the trigger", gt=0, le=1
        )
        size: int = param(
            2,
            help="side of the square trigger in the last corner; features for samples that are no "
            "images",
            ge=1,
        )
        factor: float = param(1.0, help="times the own update (model replacement)", gt=0, le=1e6)

    params: Params

    def poison(self, seen: DataObservation) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        p = self.params
        if p.target >= seen.classes:
            raise PluginError(f"classes are numbered 0..{seen.classes - 1}", "target", p.target)
        marked = seen.rng.permutation(len(seen.y))[: max(1, round(p.fraction * len(seen.y)))]
        x, y = seen.x.copy(), seen.y.copy()
        x[marked], y[marked] = trigger(seen.x, p.size)[marked], p.target
        return x, y

    def probe(self, seen: DataObservation) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        others = seen.y != self.params.target
        labels = np.full(int(others.sum()), self.params.target)
        return trigger(seen.x, self.params.size)[others], labels

    def submit(self, seen: WorkerObservation) -> Submission:
        if self.params.factor == 1:
            return Submission(seen.updates, seen.samples, seen.epochs)
        base, factor = seen.global_models, np.float32(self.params.factor)
        return Submission(base + factor * (seen.updates - base), seen.samples, seen.epochs)
