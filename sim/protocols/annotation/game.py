"""The game of annotation: which items are asked about, and the model that learns the labels."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import numpy as np

from sim.data.folder import data_folder, load_dataset
from sim.kernel import Kernel
from sim.keys import SettingError
from sim.labelling.desk import LabellingDesk
from sim.labelling.items import Items, items_of
from sim.online import online_models
from sim.online.base import OnlineModel
from sim.online.samples import Samples
from sim.protocols.annotation.settings import AnnotationScenario

CREATOR = "creator"
"""Account of the creator."""


class AnnotationGame:
    """A creator, its budget and items, the desk where it buys labels, and the model.

    `queue` are rows whose label was asked for in vain; `next_row..last-1` were not asked yet.
    """

    def __init__(self, kernel: Kernel, scenario: AnnotationScenario) -> None:
        self.kernel, self.scenario = kernel, scenario
        chosen = scenario.data
        folder = data_folder(kernel.data)
        self.samples = Samples(load_dataset(chosen.dataset, chosen.params, folder))
        self.last = min(chosen.n or self.samples.train, self.samples.train)
        self.known = self._known()
        self.next_row, self.queue = len(self.known), list[int]()
        self.model = self.new_model()
        self.learned = 0
        self.first_accuracy = self.accuracy()
        balance = scenario.payout.initial_balance
        people = list(kernel.population)
        kernel.treasury.open({p.device: balance for p in people}, {CREATOR: scenario.payout.budget})
        self.desk = LabellingDesk(
            scenario.labelling,
            self._items(),
            people,
            kernel.population.coalitions,
            treasury=kernel.treasury,
            incidents=kernel.incidents,
            streams=kernel.streams,
            clock=kernel.clock,
        )

    def _known(self) -> np.ndarray:
        """Return the rows whose labels the creator knows."""
        initial = self.scenario.data.initial
        if initial >= self.last:
            expected = f"below {self.last}, the training samples of the data set"
            raise SettingError("data.initial", initial, expected)
        return np.arange(initial)

    def _items(self) -> Items:
        samples, n = self.samples, self.samples.train
        rng = self.kernel.streams.rng("labelling difficulty")
        return items_of(
            samples.x_train, samples.y[:n], samples.classes, self.scenario.labelling, rng
        )

    def new_model(self) -> OnlineModel:
        """Return a model that knows the initial samples only."""
        settings = self.scenario.learning
        model: OnlineModel = online_models.create(settings.model, settings.model_params)
        model.start(self.samples, self.known, self.samples.y[self.known])
        return model

    # --- a round ----------------------------------------------------------------------------------

    def play(self, online: Collection[int]) -> None:
        """Ask about more items, let annotators work, and learn what was bought."""
        desk = self.desk
        desk.begin_round()
        self._ask()
        desk.play_round(online)
        if self.kernel.last_round:
            desk.close()
        self.queue += desk.take_returned()
        self._learn()

    def _ask(self) -> None:
        """Open tasks about the items that are next, those asked in vain first."""
        most = self.scenario.labelling.tasks * self.scenario.labelling.fresh
        fresh = range(self.next_row, min(self.last, self.next_row + most))
        rows = [*self.queue, *fresh][:most]
        asked = self.desk.open_campaign(rows, payer=CREATOR, known=self.known.tolist())
        again = min(asked, len(self.queue))
        self.queue = self.queue[again:]
        self.next_row += asked - again

    def _learn(self) -> None:
        """Let the model learn the labels that were bought in the round."""
        bought = self.desk.labels(after=self.learned)
        self.learned += len(bought.rows)
        sure = bought.weights >= self.scenario.learning.least_weight
        pairs = zip(bought.rows[sure].tolist(), bought.labels[sure].tolist(), strict=True)
        for row, label in pairs:
            self.model.update(row, label)

    @property
    def left(self) -> int:
        """How many items are not asked about yet, or again."""
        return self.last - self.next_row + len(self.queue)

    def accuracy(self) -> float:
        """Return the accuracy of the model on the hidden test set."""
        return self._accuracy_of(self.model)

    def _accuracy_of(self, model: OnlineModel) -> float:
        rows = self.samples.test_rows
        return model.accuracy(rows, self.samples.y[rows])

    def with_true_labels(self) -> float:
        """Return the accuracy of the same model trained on the same items with true labels."""
        model = self.new_model()
        for row in self.desk.labels().rows.tolist():
            model.update(row, int(self.samples.y[row]))
        return self._accuracy_of(model)

    # --- checkpoints ------------------------------------------------------------------------------

    def to_state(self) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        """Return JSON values and arrays at a round boundary."""
        values = {
            "desk": self.desk.to_state(),
            "next_row": self.next_row,
            "queue": self.queue,
            "learned": self.learned,
        }
        return values, dict(self.model.state())

    def restore(self, state: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> None:
        """Continue from `to_state` and all labels that were bought."""
        self.desk.restore(state["desk"], state["history"])
        self.next_row, self.learned = state["next_row"], state["learned"]
        self.queue = list(state["queue"])
        self.model.restore(arrays)
