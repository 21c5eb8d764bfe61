"""Suite of on-line models."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from experiments.conformance.common import Conformance, check_array, check_equal
from sim.data.sources.base import DataError, Dataset
from sim.online.samples import Samples
from sim.online.watch import Watch

INITIAL = np.arange(40)
UPDATES = range(40, 100)
FORMS = ("present", "real", "counts", "many")


def small_set(form: str) -> Dataset:
    """Return 120 training and 40 test samples of 12 features.

    `form`: "present": each feature 0 or 1; "real": of both signs; "counts": whole, not negative;
    "many": real, of three classes instead of two.
    """
    rng = np.random.default_rng(FORMS.index(form))
    classes = 3 if form == "many" else 2
    y = np.arange(160) % classes
    x = rng.normal(size=(classes, 12))[y] + rng.normal(size=(160, 12))
    if form == "present":
        x = (x > 0).astype(np.float64)
    if form == "counts":
        x = np.maximum(x, 0).round()
        x[:, 0] += 1
    taken = x.astype(np.float32)
    return Dataset(f"{form} features", taken[:120], y[:120], taken[120:], y[120:], classes)


class OnlineModelConformance(Conformance):
    """The same updates give the same model, from a restored state too; all predictions agree."""

    def started(self) -> Iterator[tuple[Any, Samples]]:
        """Yield a model on each kind of samples that it takes, and those samples."""
        for made in self.made():
            taken = 0
            for form in FORMS:
                samples = Samples(small_set(form))
                model = type(made)(made.params)
                try:
                    model.start(samples, INITIAL, samples.y[INITIAL])
                except DataError:
                    continue
                taken += 1
                yield model, samples
            assert taken, f"takes none of the kinds of samples {FORMS}"

    def test_the_same_updates_give_the_same_model(self):
        for (model, samples), (again, _) in zip(self.started(), self.started(), strict=True):
            for row in UPDATES:
                model.update(row, int(samples.y[row]))
                again.update(row, int(samples.y[row]))
            assert model.digest() == again.digest(), "the same updates give another digest"
            check_equal(
                model.predict(samples.test_rows),
                again.predict(samples.test_rows),
                "the same updates give other predictions",
            )

    def test_a_restored_model_goes_on_as_if_nothing_had_been(self):
        for (model, samples), (again, _) in zip(self.started(), self.started(), strict=True):
            learn(model, samples, UPDATES[:30])
            learn(again, samples, UPDATES[30:])
            kept = model.state()
            copies = {name: array.copy() for name, array in kept.items()}
            learn(model, samples, UPDATES[30:])
            for name, array in copies.items():
                check_equal(kept[name], array, f"state {name!r} is no copy")
            again.restore(kept)
            learn(again, samples, UPDATES[30:])
            assert again.digest() == model.digest(), "a restored model learns something else"

    def test_starting_again_forgets(self):
        for (model, samples), (fresh, _) in zip(self.started(), self.started(), strict=True):
            learn(model, samples, UPDATES)
            model.start(samples, INITIAL, samples.y[INITIAL])
            assert model.digest() == fresh.digest(), "start keeps what was learned before"

    def test_predictions_agree(self):
        for model, samples in self.started():
            rows = np.random.default_rng(0).permutation(len(samples))
            for row in UPDATES:
                model.update(row, int(samples.y[row]))
            found = model.predict(rows)
            check_array(found, (len(rows),), np.int64, "predictions")
            assert found.min() >= 0, "a prediction is below 0"
            assert found.max() < samples.classes, "a prediction is no class"
            check_equal([model.predict_one(int(row)) for row in rows], found, "predict_one differs")
            right = float((found == samples.y[rows]).mean())
            assert model.accuracy(rows, samples.y[rows]) == right, "accuracy is another share"

    def test_version_grows_when_predictions_change(self):
        for model, samples in self.started():
            every = np.arange(0, len(samples), 2)
            before = model.predict(every)
            for row in UPDATES:
                version = model.version
                model.update(row, 1 - int(samples.y[row] == 1))
                after = model.predict(every)
                changed = (after != before).any()
                assert model.version > version or not changed, "version stays, predictions change"
                before = after

    def test_what_is_watched_is_what_is_predicted(self):
        for model, samples in self.started():
            watch, rng = Watch(model), np.random.default_rng(1)
            slots = {watch.add(row): row for row in range(0, len(samples), 2)}
            for row in UPDATES:
                model.update(row, int(rng.integers(samples.classes)))
                rows = np.array(list(slots.values()))
                found = watch.predictions()[list(slots)]
                check_equal(found, model.predict(rows), "margins are too wide, or steps are wrong")

    def test_updates_change_the_model(self):
        for model, samples in self.started():
            before = model.digest()
            learn(model, samples, UPDATES, 1 - np.minimum(samples.y[list(UPDATES)], 1))
            assert model.digest() != before, "samples of all classes teach it nothing"


def learn(model: Any, samples: Samples, rows: Any, labels: NDArray[np.int64] | None = None) -> None:
    """Update a model with rows of the samples, with their true labels by default."""
    given = samples.y[list(rows)] if labels is None else labels
    for row, label in zip(rows, given.tolist(), strict=True):
        model.update(int(row), label)
