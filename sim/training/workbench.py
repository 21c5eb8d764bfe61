"""The workbench of protocols that train: data, engine, models, and all measurements."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from mechanisms.vocabulary import CoalitionUtility, FloatMatrix
from sim.data.folder import data_folder, load_dataset
from sim.data.sources.base import Dataset
from sim.data.split import Split, split_data
from sim.kernel import Kernel
from sim.keys import SettingError
from sim.learning import models
from sim.learning.engine import Evaluation, LearningEngine
from sim.learning.job import TrainingJob
from sim.training.models import ModelStore
from sim.training.samples import (
    Samples,
    initial_balances,
    poison,
    probe,
    share_identities,
)
from sim.training.scenario import TrainingScenario


class Workbench:
    """Who holds which samples, and what models are worth on them.

    `balances` is what every device holds at the start: sybils share. Raises `DataError` for data
    that are not there and `SettingError` for a model that does not fit them.
    """

    def __init__(self, kernel: Kernel, scenario: TrainingScenario) -> None:
        self.streams, self._clock = kernel.streams, kernel.clock
        self._population = kernel.population
        self._scenario = scenario
        data = scenario.data
        self.dataset = load_dataset(data.dataset, data.params, data_folder(kernel.data))
        self.split = self._deal()
        for device in scenario.readers:
            self.split.train[device] = self.split.public
        groups, payout = self._population.groups, scenario.payout
        held = initial_balances(
            payout.initial_balance, payout.holdings, scenario.devices, self.streams
        )
        self.balances = share_identities(scenario.adversaries, held, groups, self.split)
        for device, amount in scenario.endowments.items():
            self.balances[device] += amount
        x, y, self._poisoned = poison(
            self.dataset, groups, self.split, self.streams, scenario.trains_as
        )
        self._probe = probe(self.dataset, groups, self.streams)
        self.engine = _engine(scenario, self.dataset, x, y, self.streams.seed63("model"))
        self.models = ModelStore()
        self._roots: dict[bytes, FloatMatrix] = {}
        self._held_out = self._at(self.split.held_out)
        self.utility_samples = self._at(self._drawn_for_utility())

    def _deal(self) -> Split:
        """Return the samples of each device."""
        scenario = self._scenario
        source, holding = scenario.validation_samples()
        return split_data(
            self.dataset,
            scenario.data,
            scenario.devices,
            self.streams,
            source=source,
            holding=holding,
            trainers=scenario.trainers,
            public=scenario.public_fraction,
        )

    def _at(self, indices: NDArray[np.int64]) -> Samples:
        return self.dataset.x_train[indices], self.dataset.y_train[indices]

    def _drawn_for_utility(self) -> NDArray[np.int64]:
        """Return the indices of the held-out samples on which utility is measured."""
        held, most = self.split.held_out, self._scenario.payout.utility_samples
        if not 0 < most < len(held):
            return held
        return np.sort(self.streams.rng("utility").permutation(held)[:most])

    def samples(self, device: int) -> NDArray[np.int64]:
        """Return the indices of the samples that a device trains on in the present round."""
        poisoned = self._poisoned.get(device) if self._population[device].active else None
        return self.split.train[device] if poisoned is None else poisoned

    def unused_samples(self) -> int:
        """Return how many training samples nobody trains on and nobody judges with."""
        dealt = sum(len(self.split.train[device]) for device in self._scenario.trainers)
        known = len(self.split.held_out) + len(self.split.public)
        return len(self.dataset.y_train) - dealt - known

    def start(self) -> int:
        """Store the model that everybody begins with and return its key."""
        return self.models.add(self.engine.initial())

    # --- what is measured ---------------------------------------------------------------------

    def test(self, rows: Sequence[FloatMatrix], digests: Sequence[bytes]) -> Evaluation:
        """Evaluate rows on the reported test set."""
        return self.engine.evaluate(
            list(rows), self.dataset.x_test, self.dataset.y_test, list(digests)
        )

    def utility(
        self, updates: FloatMatrix, start: FloatMatrix, workers: Sequence[int]
    ) -> CoalitionUtility:
        """Return the worth of coalitions of updates `[n, P]` to the model `start` `[P]`.

        It is measured on the held-out samples. `workers` are the n devices that sent them.
        """
        return self.engine.coalitions(updates, start, *self.utility_samples)

    def held_out_accuracy(self, rows: FloatMatrix) -> NDArray[np.float64]:
        """Return the accuracies of rows on all held-out samples."""
        return self.engine.evaluate(rows, *self._held_out).accuracy

    def held_out_correct(self, rows: FloatMatrix) -> NDArray[np.bool_]:
        """Return which held-out samples each row classifies right, `bool[R, S]`."""
        return self.engine.correct(rows, *self._held_out)

    def validators_accuracy(self, rows: FloatMatrix) -> NDArray[np.float64]:
        """Return the accuracies of rows on all samples that validators judge with."""
        source, _ = self._scenario.validation_samples()
        if source == "holdout":
            return self.held_out_accuracy(rows)
        return self.engine.evaluate(rows, self.dataset.x_test, self.dataset.y_test).accuracy

    def accuracy_of(self, model: int) -> float:
        """Return the accuracy of a stored model on the held-out samples; NaN without any."""
        if not len(self.split.held_out):
            return math.nan
        return float(self.held_out_accuracy(self.models[model][None])[0])

    def attack_success(self, model: int) -> float | None:
        """Return the share of aimed-at samples that a model classifies as attackers want.

        None when no group has such an aim.
        """
        if self._probe is None:
            return None
        digests = [self.models.digest(model)]
        measured = self.engine.evaluate([self.models[model]], *self._probe, digests)
        return float(measured.accuracy[0])

    def root_update(self, model: int) -> FloatMatrix:
        """Return a stored model trained for the workers' epochs on the held-out samples.

        It shows what a clean update looks like.
        """
        key = self.models.digest(model)
        if key not in self._roots:
            rng = self.streams.rng("root", self._clock.round)
            epochs = range(self._scenario.training.epochs)
            order = np.stack([rng.permutation(self.split.held_out) for _ in epochs])
            seed = self.streams.seed63("root.seed", self._clock.round)
            job = TrainingJob(self.models[model], order, seed)
            self._roots[key] = self.engine.train([job])[0]
        return self._roots[key]

    def end_round(self, in_use: set[int]) -> None:
        """Forget all models but those in use, and everything that was remembered of the round."""
        self.models.keep(in_use)
        self._roots.clear()
        self.engine.forget()


def _engine(
    scenario: TrainingScenario,
    data: Dataset,
    x: NDArray[np.float32],
    y: NDArray[np.int64],
    seed: int,
) -> LearningEngine:
    """Return the engine for a scenario's model on training samples."""
    source = models.create(scenario.model.name, scenario.model.params)
    try:
        return LearningEngine(
            lambda: source.build(data.shape, data.classes),
            x,
            y,
            learning_rate=scenario.training.learning_rate,
            batch_size=scenario.training.batch_size,
            seed=seed,
            classes=data.classes,
        )
    except Exception as error:  # whatever a module of the user's may raise
        message = str(error)
        if not isinstance(error, ValueError):
            message = f"{type(error).__name__}: {error}"
        raise SettingError("model.name", scenario.model.name, message) from error
