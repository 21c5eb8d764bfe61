"""Workers that break their commitments; refused where nobody commits."""

from __future__ import annotations

from agents.workers.base import WorkerBehaviour
from mechanisms.vocabulary import Submission, WorkerObservation


class NoReveal(WorkerBehaviour):
    """Commits to its update and does not reveal it."""

    name = "no-reveal"
    summary = "commits and never reveals"
    reference = "guide on on-chain coordination, commit-reveal (missing reveal)"
    breaks_commitments = True

    def submit(self, seen: WorkerObservation) -> Submission:
        return Submission(seen.updates, seen.samples, seen.epochs, reveals=False)


class SwitchReveal(WorkerBehaviour):
    """Commits to its update and reveals the opposite one."""

    name = "switch-reveal"
    summary = "reveals another update than it committed to"
    reference = "guide on on-chain coordination, commit-reveal (mismatched reveal)"
    breaks_commitments = True

    def submit(self, seen: WorkerObservation) -> Submission:
        return Submission(
            seen.updates, seen.samples, seen.epochs, revealed=2 * seen.global_models - seen.updates
        )
