"""The coordinator as a protocol: what it declares, and its round."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from sim.notes import Note
from sim.protocol import Dose, Outcome, Table
from sim.protocols.coordinator.settings import CoordinatorScenario
from sim.recording import TEXT, Column, Columns
from sim.scenario import Scenario
from sim.training import declared, tables
from sim.training.protocol import TrainingProtocol

if TYPE_CHECKING:
    from sim.kernel import Kernel
    from sim.protocols.coordinator.game import CoordinatorGame

PARTICIPANTS = {
    "commitment": Column(TEXT, "what it committed to, hexadecimal"),
    "opening": Column(
        TEXT,
        "with commit-reveal what the worker revealed, hexadecimal: 32 bytes SHA-256 of its update, "
        "claimed samples and epochs (two little-endian int64), 16 bytes of salt; its "
        "commitment is the SHA-256 of `commit`, the device (little-endian int64) and this",
    ),
    "conduct": Column(
        TEXT,
        "what became of its update: `verified`, `rejected`, `malformed`, `late`, `unrevealed`, "
        "`mismatched`, `absent`, `duplicate`, `forged`, `replayed`, `unsettled` (its aggregator "
        "did not deliver)",
    ),
}


class Coordinator(TrainingProtocol):
    """A round under a contract: commitments, verifiers, a bonded aggregator, disputes."""

    name = "coordinator"
    summary = (
        "a contract collects commitments and reveals, a committee verifies, "
        "a bonded device aggregates"
    )
    reference = "seed 003, the guide on on-chain coordination"
    Scenario: ClassVar[type[Scenario]] = CoordinatorScenario
    tables: ClassVar[Mapping[str, Table | Columns]] = {
        **tables.SHARED,
        "rounds": {**tables.ROUNDS, **tables.VOTED_ROUNDS},
        "participants": {**tables.PARTICIPANTS, **tables.VOTED_PARTICIPANTS, **PARTICIPANTS},
        "votes": tables.VOTES,
    }
    outcomes: ClassVar[Mapping[str, Outcome]] = {
        **declared.OUTCOMES,
        "block_time_s": declared.BLOCK_TIME,
    }
    notes = (
        declared.ROLES,
        *(
            Note(
                reason,
                "participants",
                {"device": "device", "value": column},
                per="row",
                present=(column,),
                order=("device",),
                device="device",
            )
            for reason, column in (("commitment", "commitment"), ("reveal", "opening"))
        ),
        declared.VOTES,
        declared.VERSIONS,
        declared.RESULT,
    )

    curves: ClassVar[Mapping[str, Dose]] = {
        "a copier without and with commitments": Dose(
            {"worker": "free-ride-copy"}, "coordinator.commit_reveal", (False, True)
        ),
    }

    game: CoordinatorGame

    def build(self, kernel: Kernel) -> CoordinatorGame:
        from sim.protocols.coordinator.game import CoordinatorGame

        return CoordinatorGame(kernel)

    def play_round(self) -> None:
        from sim.protocols.coordinator.round import CoordinatorRound

        CoordinatorRound(self.game).play()

    @classmethod
    def example(cls) -> dict[str, Any]:
        money = {"mechanism": "coordinator", "initial_balance": 5_000_000}
        contract = {"params": {"size": 3, "error": 0.05}}
        return super().example() | {"payout": money, "coordinator": contract}
