"""Sending the trained update and claiming the true work."""

from __future__ import annotations

from agents.workers.base import WorkerBehaviour
from mechanisms.vocabulary import Submission, WorkerObservation


class Honest(WorkerBehaviour):
    """The protocol's intended worker."""

    name = "honest"
    summary = "sends its trained update and claims the true work"
    reference = "protocol"

    def submit(self, seen: WorkerObservation) -> Submission:
        return Submission(seen.updates, seen.samples, seen.epochs)
