"""Annotation as a protocol: what it declares, and its rounds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from sim import scenario as scenarios
from sim.charts import Chart
from sim.labelling import tables as labelling
from sim.notes import Declaration, Note
from sim.population.utility import Stakes
from sim.protocol import History, Outcome, Protocol, Table, Tape
from sim.protocols.annotation import tables as declared
from sim.protocols.annotation.settings import AnnotationScenario
from sim.recording import Columns

if TYPE_CHECKING:
    from sim.kernel import Kernel


class Annotation(Protocol):
    """A creator buys labels for its items from annotators, and trains a model on them.

    DecentralML grant (seed 000), uploadDataForAnnotation to reportDataAnnotationAwards: data
    annotators are paid answer points for their answers to a questionnaire.
    """

    name = "annotation"
    summary = (
        "a creator buys labels from annotators by a labelling rule, and trains a model on them"
    )
    reference = "DecentralML grant (seed 000), data annotators; pallet-decentralml, tasks"
    Scenario: ClassVar[type[scenarios.Scenario]] = AnnotationScenario
    tables: ClassVar[Mapping[str, Table | Columns]] = {
        "rounds": declared.ROUNDS,
        "participants": declared.PARTICIPANTS,
        **declared.OWN,
    }
    outcomes: ClassVar[Mapping[str, Outcome]] = declared.OUTCOMES
    notes: ClassVar[tuple[Declaration, ...]] = (
        *labelling.NOTES,
        Note("labels", "labels", {"question": "question", "item": "item", "label": "label"}),
    )
    charts: ClassVar[tuple[Chart, ...]] = (
        Chart(
            "paid-for-right-answers",
            "Paid for right answers",
            "Each submission: how many of its answers are right, which no rule knows, and what it "
            "was paid.",
            "annotations",
            "right",
            "paid",
            kind="points",
            x_label="right answers",
            y_label="base units",
        ),
    )
    tape = Tape(
        ("questions", "answers"), "labelling", "experiments.offpolicy_labelling:compare_labelling"
    )
    open_ended = False

    def __init__(self, kernel: Kernel) -> None:
        from sim.protocols.annotation.game import AnnotationGame

        super().__init__(kernel)
        scenario = kernel.scenario
        assert isinstance(scenario, AnnotationScenario)
        self.game = AnnotationGame(kernel, scenario)

    def play(self) -> None:
        """Play a round: tasks are opened, taken, answered and decided on; the model learns."""
        kernel, game = self.kernel, self.game
        start_s = kernel.clock.time_s
        online = [p.device for p in kernel.population if kernel.population.present(p.device)]
        game.play(online)
        kernel.clock.time_s += game.scenario.clock.slice_s
        self._record(start_s, online)

    def _record(self, start_s: float, online: list[int]) -> None:
        """Record the round, and let learners know what it was worth."""
        from sim.protocols.annotation.game import CREATOR

        kernel, game = self.kernel, self.game
        for table, rows in game.desk.rows().items():
            kernel.recorder.add(table, rows)
        accuracy = game.accuracy()
        own = {
            **game.desk.round_columns(),
            "learned": game.learned,
            "accuracy": accuracy,
            "gain": accuracy - game.first_accuracy,
            "budget": kernel.treasury.held(CREATOR),
            "left": game.left,
        }
        kernel.record_round(start_s, own)
        columns = {p.device: game.desk.columns(p.device) for p in kernel.population}
        stakes = Stakes(costs=(game.desk.costs(),))
        utilities = kernel.record_participants(online, stakes, columns)
        kernel.population.learners.observe(utilities)

    def facts(self) -> dict[str, Any]:
        """Return the digest of the last model, and what true labels would have made of it."""
        return {
            "model": self.game.model.digest(),
            "accuracy_with_true_labels": self.game.with_true_labels(),
        }

    # --- checkpoints ------------------------------------------------------------------------------

    def state(self) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        return self.game.to_state()

    def history(self, after: int) -> History:
        return self.game.desk.history(after)

    def restore(self, state: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> None:
        self.game.restore(state, arrays)

    @classmethod
    def recorded(cls, scenario: scenarios.Scenario) -> Mapping[str, Table]:
        """Return the tables of a run: the answers only where they are asked for."""
        assert isinstance(scenario, AnnotationScenario)
        kept = scenario.record.answers
        return {name: t for name, t in cls.all_tables().items() if name != "answers" or kept}

    @classmethod
    def example(cls) -> dict[str, Any]:
        """Return four rounds of a few annotators on generated data, with tasks that wait."""
        data = {"train": 160, "test": 80, "features": 6, "classes": 3, "separation": 2.0}
        return {
            "protocol": cls.name,
            "rounds": 4,
            "devices": 6,
            "adversaries": [{"name": "squatters", "count": 2, "annotator": "squatter"}],
            "data": {"dataset": "synthetic", "params": data, "initial": 20},
            "labelling": {
                "rule": "weighted-majority",
                "tasks": 2,
                "questions": 8,
                "gold": 2,
                "places": 3,
                "rounds": 3,
                "hold": 1,
            },
        }
