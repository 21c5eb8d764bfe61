"""Workers that send invalid transactions: forged, replayed or duplicated."""

from __future__ import annotations

from agents.workers.base import WorkerBehaviour
from mechanisms.vocabulary import Submission, WorkerObservation


class Forge(WorkerBehaviour):
    """Signs its update with a wrong signature; devices that check signatures drop it."""

    name = "forge"
    summary = "sends its update under a signature that is not its own"
    reference = "transaction integrity: Chen et al., arXiv:2101.03300"

    def submit(self, seen: WorkerObservation) -> Submission:
        return Submission(seen.updates, seen.samples, seen.epochs, forged=True)


class Replay(WorkerBehaviour):
    """Sends a transaction of the round before again; the signed round number gives it away."""

    name = "replay"
    summary = "sends a transaction of an earlier round again"
    reference = "transaction integrity: Chen et al., arXiv:2101.03300"

    def submit(self, seen: WorkerObservation) -> Submission:
        return Submission(seen.updates, seen.samples, seen.epochs, replayed=True)


class Duplicate(WorkerBehaviour):
    """Sends its update twice, the second time with twice the claims, to be paid for both."""

    name = "duplicate"
    summary = "sends its update twice, with other claims"
    reference = (
        "transaction integrity: Chen et al., arXiv:2101.03300 (one update per worker and round)"
    )

    def submit(self, seen: WorkerObservation) -> Submission:
        return Submission(seen.updates, seen.samples, seen.epochs, duplicated=True)
