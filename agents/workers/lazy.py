"""Workers that claim more work than they did."""

from __future__ import annotations

from dataclasses import dataclass

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
