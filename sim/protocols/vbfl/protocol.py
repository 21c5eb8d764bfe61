"""VBFL as a protocol: what it declares, and its round."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from sim.notes import Note
from sim.protocol import Outcome, Table
from sim.protocols.vbfl.settings import VbflScenario
from sim.protocols.vbfl.tables import BLOCKS, PARTICIPANTS, ROUNDS, VOTES
from sim.recording import Columns
from sim.scenario import Scenario
from sim.training import declared, tables
from sim.training.protocol import TrainingProtocol

if TYPE_CHECKING:
    from sim.kernel import Kernel
    from sim.protocols.vbfl.game import VbflGame


class Vbfl(TrainingProtocol):
    """Blockchain-based federated learning with validation, Chen et al., arXiv:2101.03300."""

    name = "vbfl"
    summary = (
        "devices are drawn as workers, validators and miners each round; one miner's block wins"
    )
    reference = "Chen et al., arXiv:2101.03300"
    Scenario: ClassVar[type[Scenario]] = VbflScenario
    tables: ClassVar[Mapping[str, Table | Columns]] = {
        **tables.SHARED,
        "rounds": {**tables.ROUNDS, **tables.VOTED_ROUNDS, **ROUNDS},
        "participants": {**tables.PARTICIPANTS, **tables.VOTED_PARTICIPANTS, **PARTICIPANTS},
        "votes": VOTES,
        "blocks": BLOCKS,
    }
    outcomes: ClassVar[Mapping[str, Outcome]] = {
        **declared.OUTCOMES,
        "block_time_s": declared.BLOCK_TIME,
        "forked": Outcome("rounds", "avg(forked::int)", "share of rounds that forked", "min"),
    }
    notes = (
        declared.ROLES,
        declared.VOTES,
        Note(
            "block",
            "blocks",
            {"hash": "hash", "miner": "miner"},
            per="first",
            equal={"status": "adopted"},
            order=("-adopters", "hash"),
            device="miner",
        ),
        declared.VERSIONS,
    )

    shut_out: ClassVar[str] = "blocked or (role is null and online)"
    provoked: ClassVar[Mapping[str, Any]] = {"costs.concede": 150}

    game: VbflGame

    def build(self, kernel: Kernel) -> VbflGame:
        from sim.protocols.vbfl.game import VbflGame

        return VbflGame(kernel)

    def play_round(self) -> None:
        from sim.protocols.vbfl.round import play_round

        play_round(self.game)
        self.game.keys.forget()

    @classmethod
    def example(cls) -> dict[str, Any]:
        return super().example() | {"roles": {"params": {"counts": "4,2,2"}}}

    @classmethod
    def audited(cls) -> dict[str, Any]:
        # Fewer seats than devices: an identity that waits leaves no seat empty.
        return super().audited() | {"roles": {"params": {"counts": "6,3,1"}}}
