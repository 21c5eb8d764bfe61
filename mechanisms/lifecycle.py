"""The contract of one coordinated round: its phases, who may do what when, and commit-reveal.

Guide on on-chain coordination: OpenForRegistration, TrainingInProgress, AwaitingAggregation,
Completed; commitments before the submission deadline, reveals before the reveal deadline, only the
aggregator starts and finalises.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum

from fedstake.errors import FedstakeError


class Phase(StrEnum):
    """States of a round, in their order."""

    OPEN = "OpenForRegistration"
    TRAINING = "TrainingInProgress"
    AGGREGATION = "AwaitingAggregation"
    COMPLETED = "Completed"


class TransitionError(FedstakeError, ValueError):
    """A call that the contract refuses without changing its state.

    `kind` is one word for tables.
    """

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(kind, message)
        self.kind, self.message = kind, message

    def __str__(self) -> str:
        return self.message


def commitment(device: int, digest: bytes, salt: bytes) -> bytes:
    """Return SHA-256 of the sender, the digest of the update's bytes and a salt.

    It is bound to its sender and cannot be copied.
    """
    return hashlib.sha256(b"commit" + struct.pack("<q", device) + digest + salt).digest()


@dataclass(frozen=True)
class RoundContract:
    """An immutable state; every call returns the next one or raises `TransitionError`.

    Times are simulated seconds.
    """

    aggregator: int | None
    phase: Phase = Phase.OPEN
    registered: frozenset[int] = frozenset()
    submission_deadline_s: float = 0.0
    reveal_deadline_s: float = 0.0
    commitments: Mapping[int, bytes] = field(default_factory=dict)
    revealed: Mapping[int, bytes] = field(default_factory=dict)
    verified: tuple[int, ...] = ()

    def register(self, device: int) -> RoundContract:
        """Join the round; a second call is refused."""
        self._in(Phase.OPEN, "register")
        if device in self.registered:
            raise TransitionError("duplicate", f"device {device} is registered already")
        return replace(self, registered=self.registered | {device})

    def start(self, caller: int | None, now_s: float, submission_s: float) -> RoundContract:
        """Open the round for commitments, for `submission_s` seconds."""
        self._in(Phase.OPEN, "start")
        self._by_aggregator(caller)
        if not submission_s > 0:
            raise TransitionError(
                "deadline",
                f"the submission deadline must lie after the start, not {submission_s} s after it",
            )
        return replace(self, phase=Phase.TRAINING, submission_deadline_s=now_s + submission_s)

    def commit(self, device: int, digest: bytes, now_s: float) -> RoundContract:
        """Record a commitment; a second one is refused."""
        self._in(Phase.TRAINING, "commit")
        if device not in self.registered:
            raise TransitionError("unregistered", f"device {device} is not registered")
        if now_s > self.submission_deadline_s:
            raise TransitionError("late", f"device {device} commits after the submission deadline")
        if device in self.commitments:
            raise TransitionError("duplicate", f"device {device} has committed already")
        return replace(self, commitments={**self.commitments, device: digest})

    def close_submissions(self, now_s: float, reveal_s: float) -> RoundContract:
        """End commitments, at the deadline or when every device has committed.

        Reveals are open for `reveal_s` seconds.
        """
        self._in(Phase.TRAINING, "close submissions")
        if now_s < self.submission_deadline_s and self.commitments.keys() != self.registered:
            raise TransitionError(
                "early", "the submission deadline is not past and commitments are missing"
            )
        if not reveal_s > 0:
            raise TransitionError(
                "deadline",
                f"the reveal deadline must lie after the submission's, not {reveal_s} s after it",
            )
        return replace(self, phase=Phase.AGGREGATION, reveal_deadline_s=now_s + reveal_s)

    def reveal(self, device: int, digest: bytes, salt: bytes, now_s: float) -> RoundContract:
        """Reveal the digest and salt of a commitment."""
        self._in(Phase.AGGREGATION, "reveal")
        if device not in self.commitments:
            raise TransitionError("uncommitted", f"device {device} has not committed to anything")
        if now_s > self.reveal_deadline_s:
            raise TransitionError(
                "unrevealed", f"device {device} reveals after the reveal deadline"
            )
        if device in self.revealed:
            raise TransitionError("duplicate", f"device {device} has revealed already")
        if commitment(device, digest, salt) != self.commitments[device]:
            raise TransitionError(
                "mismatched", f"device {device} reveals something else than it committed to"
            )
        return replace(self, revealed={**self.revealed, device: digest})

    def finalise(self, caller: int | None, verified: Iterable[int]) -> RoundContract:
        """Complete the round: `finalizeRound(verified)`; only revealed updates can be verified."""
        self._in(Phase.AGGREGATION, "finalise")
        self._by_aggregator(caller)
        names = tuple(verified)
        for device in names:
            if device not in self.revealed:
                raise TransitionError("unrevealed", f"device {device} has revealed nothing")
        return replace(self, phase=Phase.COMPLETED, verified=names)

    @property
    def unrevealed(self) -> frozenset[int]:
        """Devices that committed and revealed nothing that matches."""
        return frozenset(self.commitments.keys() - self.revealed.keys())

    def _in(self, phase: Phase, call: str) -> None:
        if self.phase is not phase:
            raise TransitionError("phase", f"cannot {call} in {self.phase}, only in {phase}")

    def _by_aggregator(self, caller: int | None) -> None:
        if caller != self.aggregator:
            raise TransitionError("permission", "only the aggregator may do this")
