"""Workers that claim more work than they did."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from agents.workers.base import WorkerBehaviour
from mechanisms.plugin import param
from mechanisms.vocabulary import Submission, WorkerObservation


class Lazy(WorkerBehaviour):
    """Trains fewer epochs than it claims."""

    name = "lazy"
    summary = "trains fewer epochs than it claims"
    reference = "VBFL pays self-reported epochs: Chen et al., arXiv:2101.03300, section 'Reward'"

    @dataclass(frozen=True)
    class Params:
        epochs: int = param(
            1, help="epochs really trained, at most those asked for", unit="epochs", ge=0
        )

    params: Params

    def effort(self, epochs: int) -> int:
        return min(epochs, self.params.epochs)

    def submit(self, seen: WorkerObservation) -> Submission:
        return Submission(seen.updates, seen.samples, seen.epochs)


class Overstate(WorkerBehaviour):
    """Trains honestly and claims more samples than it has."""

    name = "overstate"
    summary = "claims more samples than it trained on"
    reference = "VBFL pays self-reported samples: Chen et al., arXiv:2101.03300, section 'Reward'"

    @dataclass(frozen=True)
    class Params:
        factor: int = param(10, help="claimed over true samples", ge=1, le=10**6)

    params: Params

    def submit(self, seen: WorkerObservation) -> Submission:
        return Submission(seen.updates, seen.samples * self.params.factor, seen.epochs)


class Shade(WorkerBehaviour):
    """Trains honestly and claims somewhat more samples than it has, within an error of counting.

    A claim that nobody can tell from an honest mistake is never punished for sure: what it gains is
    the slack that a rule leaves.
    """

    name = "shade"
    summary = "claims more samples than it has, within an error that could be honest"
    reference = "VBFL pays self-reported samples: Chen et al., arXiv:2101.03300, section 'Reward'"
    doses: ClassVar[Mapping[str, tuple[float, ...]]] = {"error": (0.02, 0.05, 0.1, 0.2, 0.5)}

    @dataclass(frozen=True)
    class Params:
        error: float = param(
            0.05, help="share of its samples that it claims beside them", gt=0, le=1
        )

    params: Params

    def submit(self, seen: WorkerObservation) -> Submission:
        claimed = np.ceil(seen.samples * (1 + self.params.error)).astype(seen.samples.dtype)
        return Submission(seen.updates, claimed, seen.epochs)
