"""Which parameters of a model belong to which party, and what updates of parties are worth."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from mechanisms.vocabulary import CoalitionUtility, FloatMatrix
from sim.data.split import Split, hold_out
from sim.kernel import Kernel
from sim.keys import SettingError
from sim.learning.coalitions import CoalitionValues
from sim.protocols.vertical.settings import LABELS, VerticalScenario
from sim.training.scenario import TrainingScenario
from sim.training.workbench import Workbench


class Parties(Workbench):
    """All parties hold all samples, each its own features of them.

    The first layer is linear, so its output is the sum of what each party computes of its own
    features: the columns of its weights belong to the parties. All other parameters belong to the
    party with the labels, device 0. `own` `bool[n, P]` says who owns what; each is owned once.
    """

    def __init__(self, kernel: Kernel, scenario: TrainingScenario) -> None:
        super().__init__(kernel, scenario)
        assert isinstance(scenario, VerticalScenario)
        self.features = self._features(scenario)
        first = self.engine.layout[0]
        inputs = math.prod(self.dataset.shape)
        if len(first.shape) != 2 or first.shape[1] != inputs:
            expected = (
                f"its first parameters {first.name!r} have the shape {first.shape}: a model whose "
                f"first layer is linear in the {inputs} features"
            )
            raise SettingError("model.name", scenario.model.name, expected)
        self.hidden = first.shape[0]
        """Outputs of the first layer: numbers that each party sends for each sample."""
        self.own = np.zeros((scenario.devices, self.engine.size), dtype=np.bool_)
        for device, features in enumerate(self.features):
            weights = np.zeros(first.shape, dtype=np.bool_)
            weights[:, features] = True
            self.own[device, first.start : first.stop] = weights.ravel()
        self.own[LABELS, first.stop :] = True

    def _deal(self) -> Split:
        """Return the same training samples for every party."""
        data, fraction = self.dataset, self._scenario.data.validation_fraction
        pool, reserve, _ = hold_out(len(data.y_train), fraction, self.streams)
        parties = self._scenario.devices
        samples = data.x_train[reserve], data.y_train[reserve]
        return Split([pool] * parties, [samples] * parties, reserve)

    def _features(self, scenario: VerticalScenario) -> list[NDArray[np.int64]]:
        """Return the features of each party."""
        inputs = math.prod(self.dataset.shape)
        if inputs < scenario.devices:
            expected = f"at most {inputs}, the features of a sample: each party holds one at least"
            raise SettingError("devices", scenario.devices, expected)
        order = np.arange(inputs)
        if scenario.features.dealt == "shuffled":
            order = self.streams.rng("features").permutation(inputs)
        return [np.sort(part) for part in np.array_split(order, scenario.devices)]

    def unused_samples(self) -> int:
        """Return how many training samples nobody trains on and nobody judges with."""
        return 0

    def composed(
        self, start: FloatMatrix, rows: FloatMatrix, parties: Sequence[int]
    ) -> FloatMatrix:
        """Return the model `start` `[P]` with what these parties own taken from `rows` `[n, P]`."""
        model = start.copy()
        for row, party in zip(rows, parties, strict=True):
            model[self.own[party]] = row[self.own[party]]
        return model

    def utility(
        self, updates: FloatMatrix, start: FloatMatrix, workers: Sequence[int]
    ) -> CoalitionUtility:
        """Return the accuracy on held-out samples of `start` with the parts of some parties."""
        x, y = self.utility_samples
        parties = np.array(workers)

        def count(members: NDArray[np.bool_]) -> NDArray[np.int64]:
            found = [self.composed(start, updates[m], parties[m].tolist()) for m in members]
            return self.engine.evaluate(found, x, y).correct

        return CoalitionValues(count, len(updates), len(y))
